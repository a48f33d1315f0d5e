"""The quick way through a CSV: numpy's reader, for a file in which everything fits. Called by ``table.py``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from columns import Column, Table, fits, label_codes
from contract import Contract, class_index


def quick_table(file: IO[str], header: Sequence[str], contract: Contract) -> Table | None:
    """The whole of a file without quotes, if nothing in it needs a closer look."""
    facts = {fact["name"]: fact for fact in contract["columns"]}
    if any(fact["kind"] == "categorical" and "categories" not in fact for fact in facts.values()):
        return None
    if contract.get("decimal", ".") != "." or contract.get("strip") or "missing_values" in contract:
        return None
    classes = {float(v) if isinstance(v, (int, float)) else v: code for v, code in class_index(contract).items()}
    texts = {name: _texts(fact, classes) for name, fact in facts.items()}
    dtype = np.dtype([(f"{i}", _kind(name, facts, texts.get(name))) for i, name in enumerate(header)])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "no data": the other way says so properly
            separator = contract.get("separator", ",")
            rows = np.loadtxt(file, dtype, delimiter=separator, comments=None, skiprows=1, ndmin=1, quotechar=None)
    except (ValueError, UserWarning):  # UnicodeDecodeError is a ValueError
        return None
    columns: dict[str, Column] = {}
    for name, fact in facts.items():
        column = _column(rows[f"{header.index(name)}"], fact, texts[name], classes)
        if column is None:
            return None
        columns[name] = column
    return Table(columns, len(rows))


def _texts(fact: Mapping[str, Any], classes: Mapping[Any, int]) -> list[str] | None:
    """The texts a column may hold; None for a column of numbers."""
    if fact["kind"] == "categorical":
        return list(fact["categories"])
    names = list(classes)
    return names if fact["kind"] == "label" and names and isinstance(names[0], str) else None


def _kind(name: str, facts: Mapping[str, Any], texts: list[str] | None) -> str:
    if name not in facts:
        return "U1"  # a column the contract does not name: read over
    if texts is not None:  # one character more than allowed, so that a longer text cannot pass for one
        return f"U{max(map(len, texts)) + 1}"
    return "f8"


def _column(
    values: np.ndarray[Any, Any], fact: Mapping[str, Any], texts: list[str] | None, classes: Mapping[Any, int]
) -> Column | None:
    if texts is None:
        if not np.isfinite(values).all() or not fits(values, fact, classes):
            return None
        numbers = np.ascontiguousarray(values)
        return label_codes(numbers, classes) if fact["kind"] == "label" else numbers
    codes = np.full(len(values), -1)
    for code, text in enumerate(texts):
        codes[values == text] = code
    if (codes < 0).any():
        return None
    if fact["kind"] == "label":
        chosen: Column = np.array([classes[text] for text in texts], dtype=np.float64)[codes]
    else:
        chosen = np.array(texts, dtype=object)[codes].tolist()
    return chosen
