"""Hyperparameters of an experiment configuration: const, int, double, log, categorical, nested maps, bare values.

A bare value or list means {type: const, val: value}; a map without `type` is a nested group. The grid searcher asks for a
`count` on every int, double and log.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pdk.determined.master.config.fields import (
    REQUIRED,
    Anything,
    Choice,
    ListOf,
    Number,
    Object,
    Problems,
    Setting,
    Text,
)


def _ordered(filled: dict[str, Any], path: str, problems: Problems) -> None:
    if filled["minval"] > filled["maxval"]:
        problems.append(f"{path}: minval {filled['minval']} must be at most maxval {filled['maxval']}")


def _one_value(filled: dict[str, Any], path: str, problems: Problems) -> None:
    if not filled["vals"]:
        problems.append(f"{path}.vals: must hold at least one value")


def _range(whole: bool, **more: Setting) -> Object:
    settings = {
        "type": Setting(Text()),
        "minval": Setting(Number(whole=whole), REQUIRED),
        "maxval": Setting(Number(whole=whole), REQUIRED),
        "count": Setting(Number(whole=True, minimum=1)),
    }
    return Object({**settings, **more}, _ordered)


HYPERPARAMETER = Choice(
    "type",
    {
        "const": Object({"type": Setting(Text()), "val": Setting(Anything())}),
        "int": _range(whole=True),
        "double": _range(whole=False),
        "log": _range(whole=False, base=Setting(Number(minimum=1), 10)),
        "categorical": Object({"type": Setting(Text()), "vals": Setting(ListOf(Anything()), REQUIRED)}, _one_value),
    },
)


class Hyperparameters:
    """The `hyperparameters` map."""

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Check each hyperparameter and give bare values their const form."""
        if not isinstance(value, Mapping):
            problems.append(f"{path}: must be a map, not {value!r}")
            return value
        return {name: _fill(each, f"{path}.{name}", problems) for name, each in value.items()}


def _fill(value: Any, path: str, problems: Problems) -> Any:
    if isinstance(value, Mapping):
        if "type" in value:
            return HYPERPARAMETER.fill(value, path, problems)
        return {name: _fill(each, f"{path}.{name}", problems) for name, each in value.items()}
    return {"type": "const", "val": value}


def leaves(hyperparameters: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (path, filled hyperparameter) in the original's order: by name on each level."""
    for name in sorted(hyperparameters):
        each = hyperparameters[name]
        if isinstance(each.get("type"), str) and each["type"] in HYPERPARAMETER.kinds:
            yield (*path, name), each
        else:
            yield from leaves(each, (*path, name))


def check_counts(hyperparameters: Mapping[str, Any], problems: Problems) -> None:
    """Ask for the counts the grid searcher needs."""
    for path, each in leaves(hyperparameters):
        if each["type"] in ("int", "double", "log") and each["count"] is None:
            name = ".".join(path)
            problems.append(f"<config>.hyperparameters.{name}: grid search is in use but count was not provided")
