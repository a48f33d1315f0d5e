"""What training learned about the columns and the label: all that encoding and answering need.

Made by ``fitting.fit``, stored in every checkpoint as ``feature_spec.json``. It travels with the model: numpy only, and
nothing newer than Python 3.9.

Errors::

    FeatureError(ValueError)   a spec or a set of columns that makes no sense
    └── RowError               one value that cannot be encoded: .row (from 0), .column, .reason
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

SPEC_VERSION = 1
# Name of the extra slot of a categorical column that takes unknown categories where the contract allows them.
OTHER = "<other>"


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
    ``task``: binary, multiclass or regression. ``classes``: the label's values in the order of their classes, as the
    data has them; none for a regression, which has ``target``, the scale of the network's output. ``threshold``: from
    which probability a binary answer is class 1.
    """

    columns: tuple[str, ...]
    numeric: Mapping[str, Scale]
    categorical: Mapping[str, tuple[str, ...]]
    label: str
    allow_unknown_categories: bool = False
    impute: Mapping[str, float | str] = field(default_factory=dict)
    task: str = "binary"
    classes: tuple[Any, ...] = (0, 1)
    target: Scale | None = None
    threshold: float = 0.5
    version: int = SPEC_VERSION

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in the order of the columns of ``encode``'s result."""
        scaled = [name for name in self.columns if name in self.numeric]
        missing = [f"{name}=<missing>" for name in self.columns if name in self.impute]
        slots = [f"{name}={value}" for name in self._categorical_columns for value in self._slots(name)]
        return (*scaled, *missing, *slots)

    @property
    def n_outputs(self) -> int:
        """Width of the network's output: one logit per class, one for a binary label, one number."""
        return len(self.classes) if self.task == "multiclass" else 1

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
            "task": self.task,
            "classes": list(self.classes),
            "target": self.target._asdict() if self.target else None,
            "threshold": self.threshold,
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    @staticmethod
    def from_json(text: str) -> FeatureSpec:
        """Read what ``to_json`` wrote. Raises FeatureError for anything else."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise FeatureError(f"feature spec is not JSON: {error}") from None
        return checked_spec(document)


def checked_spec(source: Any) -> FeatureSpec:
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
            task=document.get("task", "binary"),  # version 0.1.0 knew this task alone
            classes=tuple(document.get("classes", (0, 1))),
            target=Scale(**document["target"]) if document.get("target") else None,
            threshold=float(document.get("threshold", 0.5)),
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
    yield from _task_problems(spec)


def _task_problems(spec: FeatureSpec) -> Iterator[str]:
    if spec.task not in ("binary", "multiclass", "regression"):
        yield f"task {spec.task!r} is not known"
    elif spec.task == "regression":
        if spec.target is None or not (math.isfinite(spec.target.mean) and spec.target.std > 0):
            yield f"a regression needs the scale of its target, not {spec.target}"
    elif len(spec.classes) < 2 or (spec.task == "binary" and len(spec.classes) != 2):
        yield f"classes {spec.classes} are none of a {spec.task} task"


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
