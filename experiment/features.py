"""The only preprocessing: from columns by name to the network's input, in training and in serving alike.

``fitting.fit`` runs once, in training, and gives a :class:`FeatureSpec`: column order, scales, categories. The spec is
stored in every checkpoint as ``feature_spec.json`` and travels from there, with this file, into the model archive,
where the served model calls ``encode`` with it. Nothing about the data is written down anywhere else, so training and
serving cannot come apart.

Errors::

    FeatureError(ValueError)   a spec or a set of columns that makes no sense
    └── RowError               one value that cannot be encoded: .row (from 0), .column, .reason

Needs numpy only, and nothing newer than Python 3.9: it is imported by whatever TorchServe runs on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Union

import numpy as np
from feature_spec import OTHER, FeatureError, FeatureSpec, RowError

_PLAIN_NUMBERS = frozenset({int, float})
_COLUMN_TYPES = frozenset({list, tuple, np.ndarray})
_SHOWN = 60

# The values of a column.
Values = Union[Sequence[Any], "np.ndarray[Any, Any]"]


def encode(columns: Mapping[str, Values], spec: FeatureSpec) -> np.ndarray[Any, Any]:
    """Columns by name, in any order, as float32 of shape (rows, ``spec.n_features``), all finite.

    A column is a list, tuple or array. The label and columns the spec does not name are ignored. Raises RowError
    for a missing column, a value of the wrong type, a missing value, infinity, or an unknown category, unless
    the spec says what to do with it. A number in quotes is of the wrong type.
    """
    values = named_columns(columns, spec.columns)
    rows = len(next(iter(values.values()), ()))
    encoded = np.zeros((rows, spec.n_features), dtype=np.float32)
    _encode_numbers(values, spec, encoded)
    for i, name in enumerate(spec._imputed_columns):
        encoded[:, len(spec.numeric) + i] = [is_missing(value) for value in values[name]]
    slots = [_slot_indices(values[name], name, spec) for name in spec._categorical_columns]
    if slots:
        encoded[np.arange(rows), np.array(slots, dtype=np.intp)] = 1.0
    return encoded


def rows_to_columns(rows: Sequence[Mapping[str, Any]], spec: FeatureSpec | None = None) -> dict[str, list[Any]]:
    """Row objects as columns. Raises RowError for a row that is no object or lacks a key.

    With a spec its columns are wanted, and other keys ignored; without one, every key that any row has.
    """
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise RowError(i, None, f"expected an object with one value per column, got {shown(row)}")
    names: Iterable[str] = spec.columns if spec is not None else dict.fromkeys(chain.from_iterable(rows))
    try:
        return {name: [row[name] for row in rows] for name in names}
    except KeyError:
        for i, row in enumerate(rows):
            for name in names:
                if name not in row:
                    raise RowError(i, name, "is missing") from None
        raise


def _encode_numbers(values: Mapping[str, Values], spec: FeatureSpec, encoded: np.ndarray[Any, Any]) -> None:
    """Write the scaled numeric columns into the first features."""
    names = spec._numeric_columns
    if not names:
        return
    columns = [values[name] for name in names]
    numbers = as_numbers(columns, names, spec.impute)
    means, stds = spec._means_and_stds
    with np.errstate(over="ignore"):  # looked for below, and named
        encoded[:, : len(names)] = ((numbers - means) / stds).T
    scaled = encoded[:, : len(names)]
    if not np.isfinite(scaled).all():
        row, column = np.argwhere(~np.isfinite(scaled))[0]
        raise RowError(int(row), names[column], f"is out of range: {shown(columns[column][row])}")


def as_numbers(
    columns: Sequence[Values], names: Sequence[str], impute: Mapping[str, float | str]
) -> np.ndarray[Any, Any]:
    """Numeric columns as float64 of shape (columns, rows), finite; the quick way if all are plain finite numbers."""
    if _PLAIN_NUMBERS.issuperset(map(type, columns[0])):  # a request: lists of plain numbers
        values = list(chain.from_iterable(columns))
        if not _PLAIN_NUMBERS.issuperset(map(type, values)):
            return _checked_numbers(columns, names, impute)
        try:
            numbers = np.array(values, dtype=np.float64).reshape(len(columns), -1)
        except OverflowError:  # an integer beyond float64: named below
            return _checked_numbers(columns, names, impute)
    elif all(isinstance(column, np.ndarray) and column.dtype.kind in "fiu" for column in columns):
        numbers = np.array(columns, dtype=np.float64)
    else:
        return _checked_numbers(columns, names, impute)
    if not np.isfinite(numbers).all():
        return _checked_numbers(columns, names, impute)
    return numbers


def _checked_numbers(
    columns: Sequence[Values], names: Sequence[str], impute: Mapping[str, float | str]
) -> np.ndarray[Any, Any]:
    """The same, value by value, row by row: finds the first value that is wrong, or fills in declared values."""
    rows = len(columns[0])
    numbers = np.empty((len(columns), rows))
    for row in range(rows):
        for i, name in enumerate(names):
            value = columns[i][row]
            numbers[i, row] = impute[name] if name in impute and is_missing(value) else _number(value, row, name)
    return numbers


def _number(value: Any, row: int, name: str) -> float:
    if is_missing(value):
        raise RowError(row, name, "has no value, and the contract does not say what stands in for a missing one")
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise RowError(row, name, f"expected a number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RowError(row, name, f"expected a finite number, got {shown(value)}")
    return number


def _slot_indices(values: Values, name: str, spec: FeatureSpec) -> list[int]:
    """Feature index of every value of a categorical column."""
    slots = spec._slot_of[name]
    try:
        return [slots[value] for value in values]
    except (KeyError, TypeError):
        return [_slot(value, row, name, spec) for row, value in enumerate(values)]


def _slot(value: Any, row: int, name: str, spec: FeatureSpec) -> int:
    slots = spec._slot_of[name]
    if is_missing(value):
        if name not in spec.impute:
            raise RowError(row, name, "has no value, and the contract does not say what stands in for a missing one")
        value = spec.impute[name]
    if not isinstance(value, str):
        raise RowError(row, name, f"expected a text, got {shown(value)}")
    if value in spec.categorical[name]:
        return slots[value]
    if spec.allow_unknown_categories:
        return slots[OTHER]
    known = ", ".join(map(repr, spec.categorical[name][:20]))
    raise RowError(row, name, f"unknown category {shown(value)}; known: {known}")


def named_columns(columns: Mapping[str, Values], names: Sequence[str]) -> dict[str, Values]:
    """The named columns, each a list, tuple or array, all of one length."""
    try:
        values = {name: columns[name] for name in names}
    except KeyError as error:
        raise RowError(0, error.args[0], "the column is missing") from None
    if not _COLUMN_TYPES.issuperset(map(type, values.values())):
        values = {name: _listed(name, column) for name, column in values.items()}
    lengths = list(map(len, values.values()))
    if lengths and min(lengths) != max(lengths):
        short = lengths.index(min(lengths))
        reason = f"has no value: the column has {lengths[short]} rows, others have {max(lengths)}"
        raise RowError(lengths[short], names[short], reason)
    return values


def _listed(name: str, values: Any) -> Values:
    if isinstance(values, (list, tuple, np.ndarray)):
        return values
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise FeatureError(f"column {name!r}: expected a list of values, got {shown(values)}")
    return list(values)


def is_missing(value: Any) -> bool:
    """None and NaN are missing values."""
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))


def shown(value: Any) -> str:
    """How a message shows a value: shortened, with its type."""
    text = repr(value)
    text = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return f"{text} ({type(value).__name__})"
