"""Reads the YAML (or JSON) text of an experiment configuration, safely and with YAML 1.2 numbers.

The original reads `1e-4` as a number, PyYAML alone reads it as text. Times stay text (configurations are JSON inside).
Hostile text: only plain scalars, lists and maps; the size after expanding aliases and the depth are bounded.
"""

import contextlib
import json
from typing import Any

from pdk.determined.errors import InvalidConfig
from pdk.web.yaml_text import UnsafeYaml, load_settings

MAX_CHARACTERS = 1024 * 1024
MAX_NODES = 100_000
MAX_DEPTH = 60


def parse(text: str) -> dict[str, Any]:
    """Return the map `text` holds as plain JSON values; raises InvalidConfig saying line and reason."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidConfig([f"<config>: longer than {MAX_CHARACTERS} characters"])
    try:
        value = _load(text)
    except UnsafeYaml as error:
        raise InvalidConfig([f"<config>: not YAML: {error.one_line}"]) from error
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
    return load_settings(text)


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
