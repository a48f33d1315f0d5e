"""A table as columns, and what is asked of whole columns at once. Shared by the two ways of reading a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Column: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]] | list[Any]"


@dataclass(frozen=True)
class Table:
    """Columns by name, all of ``rows`` values: float64 arrays, and lists of text for categorical columns.

    A missing value the contract imputes is NaN or None. The label is the index of its class, or the number itself.
    """

    columns: Mapping[str, Column]
    rows: int


def taken(column: Column, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> Column:
    """The chosen rows of a column."""
    if isinstance(column, np.ndarray):
        values: Column = column[chosen]
        return values
    return [value for value, wanted in zip(column, chosen.tolist(), strict=True) if wanted]


def fits(numbers: np.ndarray[Any, Any], fact: Mapping[str, Any], classes: Mapping[Any, int]) -> bool:
    """Whether all finite numbers are what a column's entry in the contract allows."""
    if fact["kind"] == "label" and classes:
        return bool(np.isin(numbers, list(classes)).all())
    if fact.get("dtype") == "int" and not (numbers == np.floor(numbers)).all():
        return False
    lowest, highest = fact.get("min", -np.inf), fact.get("max", np.inf)
    return bool(((numbers >= lowest) & (numbers <= highest)).all())


def label_codes(numbers: np.ndarray[Any, Any], classes: Mapping[Any, int]) -> np.ndarray[Any, Any]:
    """The class of each label that ``fits``; the numbers themselves where there are no classes."""
    if not classes:
        return numbers
    codes = np.zeros(len(numbers))
    for value, code in classes.items():
        codes[numbers == value] = code
    return codes
