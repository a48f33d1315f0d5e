"""A small schema language for experiment configurations: check a value, fill its defaults, collect every problem.

A `Kind` turns a value into its filled form. Problems are collected, not raised, so that a user sees all of them at once;
each starts with the path, `<config>.searcher.metric: ...`, as the original's do. null means absent, as in the original.
"""

import copy
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Problems = list[str]


class Kind(Protocol):
    """A rule for a value."""

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Return `value` checked and filled; append to `problems` what is wrong with it."""
        ...


@dataclass(frozen=True)
class Anything:
    """Any JSON value."""

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Return `value` unchanged."""
        return value


@dataclass(frozen=True)
class Text:
    """Text, optionally one of `choices`."""

    choices: Sequence[str] = ()

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Check type and choice."""
        if not isinstance(value, str):
            problems.append(f"{path}: must be text, not {shown(value)}")
        elif self.choices and value not in self.choices:
            problems.append(f"{path}: must be one of {', '.join(self.choices)}, not {shown(value)}")
        return value


@dataclass(frozen=True)
class Flag:
    """true or false."""

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Check the type."""
        if not isinstance(value, bool):
            problems.append(f"{path}: must be true or false, not {shown(value)}")
        return value


@dataclass(frozen=True)
class Number:
    """A number within bounds; `whole`: without a fraction."""

    whole: bool = False
    minimum: float | None = None
    maximum: float | None = None

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Check type and bounds; a whole float such as 10.0 becomes an int where one is wanted."""
        if self.whole and isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            problems.append(f"{path}: must be {'an integer' if self.whole else 'a number'}, not {shown(value)}")
        elif self.minimum is not None and value < self.minimum:
            problems.append(f"{path}: must be at least {self.minimum:g}, not {value}")
        elif self.maximum is not None and value > self.maximum:
            problems.append(f"{path}: must be at most {self.maximum:g}, not {value}")
        return value


@dataclass(frozen=True)
class ListOf:
    """A list of values of one kind; `unique`: repeated values are dropped (the original's sets)."""

    item: Kind
    unique: bool = False

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Check each item."""
        if not isinstance(value, list):
            problems.append(f"{path}: must be a list, not {shown(value)}")
            return value
        filled = [self.item.fill(v, f"{path}[{i}]", problems) for i, v in enumerate(value)]
        return [v for i, v in enumerate(filled) if v not in filled[:i]] if self.unique else filled


@dataclass(frozen=True)
class MapOf:
    """A map from any text to values of one kind."""

    item: Kind

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Check each value."""
        if not isinstance(value, Mapping):
            problems.append(f"{path}: must be a map, not {shown(value)}")
            return value
        return {k: self.item.fill(v, f"{path}.{k}", problems) for k, v in value.items()}


REQUIRED = object()
"""Default of a setting that must be given."""


@dataclass(frozen=True)
class Setting:
    """One key of an object; `default` may be a value, None, or REQUIRED."""

    kind: Kind
    default: Any = None


@dataclass(frozen=True)
class Object:
    """A map with known keys; others are refused. `rule` checks the filled whole."""

    settings: Mapping[str, Setting]
    rule: Callable[[dict[str, Any], str, Problems], None] | None = field(default=None)

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Refuse unknown keys, check and fill the known ones."""
        if not isinstance(value, Mapping):
            problems.append(f"{path}: must be a map, not {shown(value)}")
            return value
        for name in value:
            if name not in self.settings:
                problems.append(f"{path}.{name}: unknown setting{self._hint(name)}")
        before = len(problems)
        filled = {name: self._setting(name, value, path, problems) for name in self.settings}
        if self.rule is not None and len(problems) == before:
            self.rule(filled, path, problems)
        return filled

    def _setting(self, name: str, value: Mapping[str, Any], path: str, problems: Problems) -> Any:
        setting = self.settings[name]
        given = value.get(name)
        if given is not None:
            return setting.kind.fill(given, f"{path}.{name}", problems)
        if setting.default is REQUIRED:
            problems.append(f"{path}.{name}: is required")
            return None
        if isinstance(setting.default, Mapping) and isinstance(setting.kind, Object):
            return setting.kind.fill(setting.default, f"{path}.{name}", problems)
        return copy.deepcopy(setting.default)

    def _hint(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.settings, n=1)
        return f", did you mean {near[0]!r}?" if near else f"; known here: {', '.join(sorted(self.settings))}"


@dataclass(frozen=True)
class Choice:
    """An object whose key `key` says which of several kinds it is (the original's unions)."""

    key: str
    kinds: Mapping[str, Kind]

    def fill(self, value: Any, path: str, problems: Problems) -> Any:
        """Find the kind and fill the value by it."""
        if not isinstance(value, Mapping):
            problems.append(f"{path}: must be a map, not {shown(value)}")
            return value
        name = value.get(self.key)
        if not isinstance(name, str) or name not in self.kinds:
            problems.append(f"{path}.{self.key}: must be one of {', '.join(self.kinds)}, not {shown(name)}")
            return value
        return self.kinds[name].fill(value, path, problems)


def shown(value: Any) -> str:
    """Show a value in a message, shortened."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
