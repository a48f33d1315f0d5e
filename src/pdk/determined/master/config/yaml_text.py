"""Reads the YAML (or JSON) text of an experiment configuration, safely and with YAML 1.2 numbers.

The original reads `1e-4` as a number, PyYAML alone reads it as text. Times stay text (configurations are JSON inside).
Hostile text: only plain scalars, lists and maps; the size after expanding aliases and the depth are bounded.
"""

import contextlib
import json
import re
from collections.abc import Hashable
from typing import Any

import yaml

from pdk.determined.errors import InvalidConfig

MAX_CHARACTERS = 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 60
MERGE_TAG = "tag:yaml.org,2002:merge"

FLOAT = re.compile(
    r"""^(?:[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?
     |[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?
     |[-+]?\.(?:inf|Inf|INF)
     |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """SafeLoader with YAML 1.2 floats, no timestamps and no duplicated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = None if key_node.tag == MERGE_TAG else self.construct_object(key_node, deep=True)
            if key is not None and isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":timestamp", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))


def parse(text: str) -> dict[str, Any]:
    """Return the map `text` holds as plain JSON values; raises InvalidConfig saying line and reason."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidConfig([f"<config>: longer than {MAX_CHARACTERS} characters"])
    try:
        value = _load(text)
    except yaml.YAMLError as error:
        raise InvalidConfig([f"<config>: not YAML: {_one_line(error)}"]) from error
    except RecursionError as error:
        raise InvalidConfig(["<config>: nested too deeply"]) from error
    if not isinstance(value, dict):
        raise InvalidConfig(["<config>: must be a map of settings"])
    plain = _Plain().convert(value, "<config>", 0)
    assert isinstance(plain, dict)
    return plain


def _load(text: str) -> Any:
    if text.lstrip().startswith("{"):
        # JSON is YAML, but PyYAML does not join the two halves of characters escaped as JSON does it.
        with contextlib.suppress(ValueError):
            return json.loads(text)
    return yaml.load(text, Loader=_Loader)  # _Loader is a SafeLoader


class _Plain:
    """Copies a parsed value as JSON values, counting nodes so that aliases cannot blow it up."""

    def __init__(self) -> None:
        self._nodes = 0

    def convert(self, value: Any, path: str, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise InvalidConfig([f"<config>: more than {MAX_NODES} values or deeper than {MAX_DEPTH} levels"])
        if isinstance(value, dict):
            return {self._key(k, path): self.convert(v, f"{path}.{k}", depth + 1) for k, v in value.items()}
        if isinstance(value, list):
            return [self.convert(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)]
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            raise InvalidConfig([f"{path}: {value} is no number a configuration can hold"])
        if isinstance(value, str) and not is_unicode(value):
            raise InvalidConfig([f"{path}: holds half of a character (a lone surrogate)"])
        if value is None or isinstance(value, str | bool | int | float):
            return value
        raise InvalidConfig([f"{path}: {type(value).__name__} values are not supported"])

    def _key(self, key: Any, path: str) -> str:
        if isinstance(key, str) and is_unicode(key):
            return key
        if isinstance(key, bool):
            return "true" if key else "false"
        if isinstance(key, int | float):
            return str(key)
        raise InvalidConfig([f"{path}: keys must be text, not {key!r}"])


def is_unicode(text: str) -> bool:
    """Tell whether text can be stored: escapes can make halves of characters, which no encoding has."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _one_line(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error)
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
    return " ".join(str(problem).split()) + where
