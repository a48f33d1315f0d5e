"""In-memory batches: the rows split, and a loader that slices a batch out of a tensor at once.

Called by ``TabularTrial``. Determined wants its own ``DataLoader``, which knows how to repeat, skip and shard; what
would make it slow is one call per row and collating rows into a batch, and ``__getitems__`` avoids both.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch
from columns import Table
from determined import pytorch
from torch.utils.data import Dataset

_GOLDEN = 0x9E3779B97F4A7C15
_64_BITS = 0xFFFFFFFFFFFFFFFF


class Rows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Features, float32 (rows, n_features), and the loss's targets, (rows,), fetched by lists of indices."""

    def __init__(self, features: np.ndarray[Any, Any], labels: torch.Tensor) -> None:
        self.features = torch.from_numpy(features)
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One row, for those who ask for one."""
        return self.features[index], self.labels[index]

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch."""
        chosen = torch.as_tensor(indices)
        return self.features[chosen], self.labels[chosen]


def loader(rows: Rows, batch_size: int, seed: int | None = None) -> pytorch.DataLoader:
    """Batches of ``rows``, shuffled anew every epoch if there is a seed, in order otherwise."""
    if seed is None:
        return pytorch.DataLoader(rows, batch_size=batch_size, collate_fn=_as_fetched)
    # A generator of its own, and not torch's: a trial that resumes then sees the order it would have seen.
    generator = torch.Generator().manual_seed(seed)
    return pytorch.DataLoader(rows, batch_size=batch_size, shuffle=True, collate_fn=_as_fetched, generator=generator)


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


def _as_fetched(batch: Any) -> Any:
    return batch
