"""YAML made safe: plain scalars, lists and maps only; times stay text, as where the text was JSON before.

Pure: engines may import it. What the values may be beyond that (depth, size, text keys) is the caller's to check,
since an alias that is used often makes a small text a large value.
"""

import re
from collections.abc import Hashable
from typing import Any

import yaml

MERGE_TAG = "tag:yaml.org,2002:merge"
FLOAT = re.compile(
    r"""^(?:[-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?
     |[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?
     |[-+]?\.(?:inf|Inf|INF)
     |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)


class UnsafeYaml(ValueError):
    """The text is no YAML, or more of it than is read here; `one_line` is the reason and where it is."""

    def __init__(self, error: yaml.YAMLError) -> None:
        super().__init__(str(error))
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        self.one_line = " ".join(str(getattr(error, "problem", None) or error).split()) + where


def load_document(text: str) -> Any:
    """Return what a YAML text without aliases says. Raises UnsafeYaml and, for deep nesting, RecursionError."""
    return _load(text, _DocumentLoader)


def load_settings(text: str) -> Any:
    """Return what a YAML text with YAML 1.2 numbers and unique keys says. Raises UnsafeYaml and RecursionError."""
    return _load(text, _SettingsLoader)


def _load(text: str, loader: type[yaml.SafeLoader]) -> Any:
    try:
        return yaml.load(text, loader)  # both are SafeLoaders
    except yaml.YAMLError as error:
        raise UnsafeYaml(error) from error


class _DocumentLoader(yaml.SafeLoader):  # type: ignore[misc]
    """SafeLoader without timestamps and without aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


class _SettingsLoader(yaml.SafeLoader):  # type: ignore[misc]
    """SafeLoader with YAML 1.2 floats (`1e-4` is one), without timestamps and without keys given twice."""

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


def _without(*tags: str) -> dict[str, list[tuple[str, Any]]]:
    return {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(tags)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_DocumentLoader.yaml_implicit_resolvers = _without(":timestamp")
_SettingsLoader.yaml_implicit_resolvers = _without(":timestamp", ":float")
_SettingsLoader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))
