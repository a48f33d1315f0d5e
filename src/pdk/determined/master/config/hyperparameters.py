"""Hyperparameters of an experiment configuration: const, int, double, log, categorical, nested maps, bare values.

A bare value or list means {type: const, val: value}; a map without `type` is a nested group. The grid searcher asks
for a `count` on every int, double and log.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, PlainValidator, TypeAdapter, model_validator

from pdk.determined.master.config.fields import ROOT, Positive, Real, Section, Text, Whole, check, choice, wrong


class HyperparameterType(StrEnum):
    """What its `type` says it is."""

    CONST = "const"
    INT = "int"
    DOUBLE = "double"
    LOG = "log"
    CATEGORICAL = "categorical"


class Const(Section):
    """The same value in every trial."""

    type: Text
    val: Any = None


class DoubleRange(Section):
    """A number from `minval` to `maxval`; a grid takes `count` of them."""

    type: Text
    minval: Real
    maxval: Real
    count: Positive | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minval > self.maxval:
            raise wrong(f"minval {self.minval} must be at most maxval {self.maxval}")
        return self


class IntRange(DoubleRange):
    """A whole number."""

    minval: Whole
    maxval: Whole


class LogRange(DoubleRange):
    """`base` to the power of a number."""

    base: Annotated[Real, Field(ge=1)] = 10


class Categorical(Section):
    """One of several values."""

    type: Text
    vals: Annotated[list[Any], check(bool, "must hold at least one value")]


KINDS: dict[str, type[Section] | str] = {
    HyperparameterType.CONST: Const,
    HyperparameterType.INT: IntRange,
    HyperparameterType.DOUBLE: DoubleRange,
    HyperparameterType.LOG: LogRange,
    HyperparameterType.CATEGORICAL: Categorical,
}
_typed = choice("type", KINDS)


def _filled(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return Const(type=HyperparameterType.CONST, val=value)
    return _typed(value) if "type" in value else _GROUP.validate_python(value)


Hyperparameters = dict[str, Annotated[Any, PlainValidator(_filled)]]
_GROUP = TypeAdapter(Hyperparameters)


def leaves(hyperparameters: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (path, filled hyperparameter) in the original's order: by name on each level."""
    for name in sorted(hyperparameters):
        each = hyperparameters[name]
        if isinstance(each.get("type"), str) and each["type"] in KINDS:
            yield (*path, name), each
        else:
            yield from leaves(each, (*path, name))


def missing_counts(hyperparameters: Mapping[str, Any]) -> list[str]:
    """Return a problem for each count the grid searcher needs and has not."""
    return [
        f"{ROOT}.hyperparameters.{'.'.join(path)}: grid search is in use but count was not provided"
        for path, each in leaves(hyperparameters)
        if "count" in each and each["count"] is None
    ]
