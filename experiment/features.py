"""The only preprocessing: from columns by name to the network's input, in training and in serving alike.

``fit`` runs once, in training, and gives a :class:`FeatureSpec`: column order, scales, categories. The spec is
stored in every checkpoint as ``feature_spec.json`` and travels from there, with this file, into the model
archive, where the TorchServe handler calls ``encode`` with it. Nothing about the data is written down anywhere
else, so training and serving cannot come apart.

Errors::

    FeatureError(ValueError)   a spec or a set of columns that makes no sense
    └── RowError               one value that cannot be encoded: .row (from 0), .column, .reason

Needs numpy only, and nothing newer than Python 3.9: it is imported by whatever TorchServe runs on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, Union

import numpy as np

SPEC_VERSION = 1
# Name of the extra slot of a categorical column that takes unknown categories where the contract allows them.
OTHER = "<other>"
_PLAIN_NUMBERS = frozenset({int, float})
_COLUMN_TYPES = frozenset({list, tuple, np.ndarray})
_SHOWN = 60

# The values of a column.
Values = Union[Sequence[Any], "np.ndarray[Any, Any]"]


class FeatureError(ValueError):
    """A feature spec, a contract or a set of columns that cannot be used."""


class RowError(FeatureError):
    """One value that cannot be encoded. ``row`` counts from 0; ``column`` is None if the row itself is wrong."""

    def __init__(self, row: int, column: str | None, reason: str) -> None:
        where = f"row {row}" if column is None else f"row {row}, column {column!r}"
        super().__init__(f"{where}: {reason}")
        self.row = row
        self.column = column
        self.reason = reason


class Scale(NamedTuple):
    """Mean and standard deviation of a numeric column over the rows it was fitted on; ``std`` is above 0."""

    mean: float
    std: float


@dataclass(frozen=True)
class FeatureSpec:
    """What training learned about the columns; all that ``encode`` needs.

    ``columns``: the columns used, in order, label not included. ``numeric`` and ``categorical`` cover them.
    ``impute``: the value that stands in for a missing one, for the columns whose contract says so; such a
    column has one more feature that tells the network the value was missing.
    ``allow_unknown_categories``: every categorical column has one more slot, for categories never seen.
    """

    columns: tuple[str, ...]
    numeric: Mapping[str, Scale]
    categorical: Mapping[str, tuple[str, ...]]
    label: str
    allow_unknown_categories: bool = False
    impute: Mapping[str, float | str] = field(default_factory=dict)
    version: int = SPEC_VERSION

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the columns of ``encode``'s result."""
        scaled = [name for name in self.columns if name in self.numeric]
        missing = [f"{name}=<missing>" for name in self.columns if name in self.impute]
        slots = [f"{name}={value}" for name in self._categorical_columns for value in self._slots(name)]
        return (*scaled, *missing, *slots)

    @cached_property
    def n_features(self) -> int:
        """Width of the network's input."""
        return len(self.feature_names)

    @cached_property
    def _numeric_columns(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if name in self.numeric)

    @cached_property
    def _categorical_columns(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if name in self.categorical)

    @cached_property
    def _imputed_columns(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if name in self.impute)

    @cached_property
    def _means_and_stds(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        scales = [self.numeric[name] for name in self._numeric_columns]
        return np.array([[s.mean] for s in scales]), np.array([[s.std] for s in scales])

    @cached_property
    def _slot_of(self) -> dict[str, dict[str, int]]:
        """Column -> category -> index of its feature."""
        slots: dict[str, dict[str, int]] = {}
        start = len(self.numeric) + len(self.impute)
        for name in self._categorical_columns:
            values = self._slots(name)
            slots[name] = {value: start + i for i, value in enumerate(values)}
            start += len(values)
        return slots

    def _slots(self, name: str) -> tuple[str, ...]:
        return (*self.categorical[name], OTHER) if self.allow_unknown_categories else tuple(self.categorical[name])

    def to_json(self) -> str:
        """The spec as text; ``from_json`` gives it back unchanged."""
        document = {
            "version": self.version,
            "label": self.label,
            "columns": list(self.columns),
            "numeric": {name: scale._asdict() for name, scale in self.numeric.items()},
            "categorical": {name: list(values) for name, values in self.categorical.items()},
            "allow_unknown_categories": self.allow_unknown_categories,
            "impute": dict(self.impute),
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    @staticmethod
    def from_json(text: str) -> FeatureSpec:
        """Read what ``to_json`` wrote. Raises FeatureError for anything else."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise FeatureError(f"feature spec is not JSON: {error}") from None
        return _spec_from(document)


def fit(columns: Mapping[str, Values], contract: Mapping[str, Any]) -> FeatureSpec:
    """Learn scales and categories from columns of equal length, for the columns the contract names.

    Categories are those the contract lists; where it lists none, the ones that occur, sorted. Raises RowError for
    a value the contract does not allow, FeatureError if there are no rows.
    """
    facts = {fact["name"]: fact for fact in contract["columns"]}
    label = next((name for name, fact in facts.items() if fact["kind"] == "label"), None)
    if label is None:
        raise FeatureError("the contract has no column of kind 'label'")
    used = tuple(name for name, fact in facts.items() if fact["kind"] in ("numeric", "categorical"))
    values = _columns(columns, used)
    if not any(map(len, values.values())):
        raise FeatureError("no rows to fit on")
    imputed = {name: fact["missing"]["impute"] for name, fact in facts.items() if "impute" in _missing_policy(fact)}
    numeric: dict[str, Scale] = {}
    categorical: dict[str, tuple[str, ...]] = {}
    impute: dict[str, float | str] = {}
    for name in used:
        if facts[name]["kind"] == "numeric":
            numeric[name] = _fit_scale(values[name], name, name in imputed)
            if name in imputed:
                impute[name] = numeric[name].mean if imputed[name] == "mean" else float(imputed[name])
        else:
            categorical[name] = tuple(facts[name].get("categories") or _seen(values[name], name, name in imputed))
            if name in imputed:
                impute[name] = str(imputed[name])
    unknown = contract.get("unknown_categories", "reject") == "other"
    return _spec_from(FeatureSpec(used, numeric, categorical, label, unknown, impute))


def encode(columns: Mapping[str, Values], spec: FeatureSpec) -> np.ndarray[Any, Any]:
    """Columns by name, in any order, as float32 of shape (rows, ``spec.n_features``), all finite.

    A column is a list, tuple or array. The label and columns the spec does not name are ignored. Raises RowError
    for a missing column, a value of the wrong type, a missing value, infinity, or an unknown category, unless
    the spec says what to do with it. A number in quotes is of the wrong type.
    """
    values = _columns(columns, spec.columns)
    rows = len(next(iter(values.values()), ()))
    encoded = np.zeros((rows, spec.n_features), dtype=np.float32)
    _encode_numbers(values, spec, encoded)
    for i, name in enumerate(spec._imputed_columns):
        encoded[:, len(spec.numeric) + i] = [_is_missing(value) for value in values[name]]
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
            raise RowError(i, None, f"expected an object with one value per column, got {_show(row)}")
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
    numbers = _as_numbers(columns, names, spec.impute)
    means, stds = spec._means_and_stds
    with np.errstate(over="ignore"):  # looked for below, and named
        encoded[:, : len(names)] = ((numbers - means) / stds).T
    scaled = encoded[:, : len(names)]
    if not np.isfinite(scaled).all():
        row, column = np.argwhere(~np.isfinite(scaled))[0]
        raise RowError(int(row), names[column], f"is out of range: {_show(columns[column][row])}")


def _as_numbers(
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
            numbers[i, row] = impute[name] if name in impute and _is_missing(value) else _number(value, row, name)
    return numbers


def _number(value: Any, row: int, name: str) -> float:
    if _is_missing(value):
        raise RowError(row, name, "has no value, and the contract does not say what stands in for a missing one")
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise RowError(row, name, f"expected a number, got {_show(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RowError(row, name, f"expected a finite number, got {_show(value)}")
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
    if _is_missing(value):
        if name not in spec.impute:
            raise RowError(row, name, "has no value, and the contract does not say what stands in for a missing one")
        value = spec.impute[name]
    if not isinstance(value, str):
        raise RowError(row, name, f"expected a text, got {_show(value)}")
    if value in spec.categorical[name]:
        return slots[value]
    if spec.allow_unknown_categories:
        return slots[OTHER]
    known = ", ".join(map(repr, spec.categorical[name][:20]))
    raise RowError(row, name, f"unknown category {_show(value)}; known: {known}")


def _columns(columns: Mapping[str, Values], names: Sequence[str]) -> dict[str, Values]:
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
        raise FeatureError(f"column {name!r}: expected a list of values, got {_show(values)}")
    return list(values)


def _fit_scale(values: Values, name: str, imputed: bool) -> Scale:
    present = [value for value in values if not _is_missing(value)] if imputed else values
    if len(present) == 0:
        raise FeatureError(f"column {name!r} has no value in any row")
    numbers = _as_numbers([present], [name], {})[0]
    std = float(numbers.std())
    return Scale(float(numbers.mean()), std if std > 0 else 1.0)


def _seen(values: Values, name: str, imputed: bool) -> list[str]:
    seen = set()
    for row, value in enumerate(values):
        if imputed and _is_missing(value):
            continue
        if not isinstance(value, str):
            raise RowError(row, name, f"expected a text, got {_show(value)}")
        seen.add(str(value))
    return sorted(seen)


def _missing_policy(fact: Mapping[str, Any]) -> Mapping[str, Any]:
    policy = fact.get("missing", "reject")
    return policy if isinstance(policy, Mapping) else {}


def _is_missing(value: Any) -> bool:
    """None and NaN are missing values."""
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))


def _show(value: Any) -> str:
    text = repr(value)
    text = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return f"{text} ({type(value).__name__})"


def _spec_from(source: Any) -> FeatureSpec:
    """A checked spec, from a document or from a spec."""
    document = json.loads(source.to_json()) if isinstance(source, FeatureSpec) else source
    try:
        version = document["version"]
        if version != SPEC_VERSION:
            raise FeatureError(f"feature spec has version {version!r}; this code reads version {SPEC_VERSION}")
        spec = FeatureSpec(
            columns=tuple(document["columns"]),
            numeric={name: Scale(float(s["mean"]), float(s["std"])) for name, s in document["numeric"].items()},
            categorical={name: tuple(values) for name, values in document["categorical"].items()},
            label=document["label"],
            allow_unknown_categories=document["allow_unknown_categories"],
            impute=dict(document["impute"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, FeatureError):
            raise
        raise FeatureError(f"feature spec is incomplete or malformed: {error!r}") from None
    problem = next(_problems(spec), None)
    if problem:
        raise FeatureError(f"feature spec: {problem}")
    return spec


def _problems(spec: FeatureSpec) -> Iterator[str]:
    if not all(isinstance(name, str) for name in (*spec.columns, spec.label)):
        yield "column names must be text"
    if not isinstance(spec.allow_unknown_categories, bool):
        yield "allow_unknown_categories must be true or false"
    if len(set(spec.columns)) != len(spec.columns) or spec.label in spec.columns:
        yield "a column is named twice, or the label is among the columns"
    if sorted(spec.columns) != sorted((*spec.numeric, *spec.categorical)):
        yield "the columns are not those that are numeric or categorical"
    yield from _value_problems(spec)


def _value_problems(spec: FeatureSpec) -> Iterator[str]:
    for name, scale in spec.numeric.items():
        if not (math.isfinite(scale.mean) and math.isfinite(scale.std) and scale.std > 0):
            yield f"column {name!r} has no usable scale: {scale}"
    for name, values in spec.categorical.items():
        if not _are_categories(values):
            yield f"column {name!r}: categories must be texts, at least one, each once"
    for name, value in spec.impute.items():
        if not _may_stand_in(spec, name, value):
            yield f"column {name!r}: {value!r} cannot stand in for a missing value"


def _are_categories(values: Sequence[Any]) -> bool:
    return bool(values) and len(set(values)) == len(values) and all(isinstance(value, str) for value in values)


def _may_stand_in(spec: FeatureSpec, name: str, value: Any) -> bool:
    if name in spec.numeric:
        return isinstance(value, (int, float)) and math.isfinite(value)
    return name in spec.categorical and value in spec.categorical[name]
