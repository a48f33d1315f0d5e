"""Which rows judge and are never trained on, decided by what a row holds. Called by the trial; needs numpy alone."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from columns import Table

_GOLDEN = 0x9E3779B97F4A7C15
_64_BITS = 0xFFFFFFFFFFFFFFFF


def validation_rows(table: Table, label: str, fraction: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows are held out: a boolean per row, true for about ``fraction`` of them.

    A row's side depends on its values alone (not on its label, its place or its file), so one that comes
    again in a later commit is never trained on after having been held out. Each side gets at least one row.
    """
    if table.rows < 2:
        raise ValueError(f"cannot hold out rows of {table.rows}: at least 2 are needed")
    hashes = _row_hashes(table, label)
    held_out = hashes < np.uint64(int(fraction * float(2**64 - 2**11)))
    if not held_out.any():
        held_out[np.argmin(hashes)] = True
    if held_out.all():
        held_out[np.argmax(hashes)] = False
    return held_out


def _row_hashes(table: Table, label: str) -> np.ndarray[Any, np.dtype[np.uint64]]:
    total = np.zeros(table.rows, dtype=np.uint64)
    for name, column in sorted(table.columns.items()):
        if name == label:
            continue
        bits = column.view(np.uint64) if isinstance(column, np.ndarray) else _text_bits(column)
        salt = np.uint64(zlib.crc32(name.encode()) * _GOLDEN & _64_BITS)
        total += _mixed(bits + salt)
    return _mixed(total)


def _text_bits(texts: list[Any]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    codes = {text: zlib.crc32(repr(text).encode()) for text in set(texts)}
    return np.array([codes[text] for text in texts], dtype=np.uint64)


def _mixed(bits: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Spread every bit over all 64 (the finaliser of splitmix64)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
