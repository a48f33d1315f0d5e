"""Label and field selectors of lists, watches and deletecollection.

`app=x,tier!=db,env in (a,b),env notin (c),present,!absent` for labels; `metadata.name=x,status.phase!=Running` for
fields. Mirrors k8s.io/apimachinery pkg/labels and pkg/fields.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pdk.kubernetes.errors import BadRequest
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.names import qualified_name_problem
from pdk.kubernetes.kinds.resource import Resource

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s*\(\s*(?P<values>[^()]*)\)$")
_EQUALITY = re.compile(r"^(?P<key>[^=!\s]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^=!\s]*)$")

Match = Callable[[JsonObject], bool]


@dataclass(frozen=True)
class Requirement:
    """One part of a label selector: the value under `key` must (`wanted`) or must not be one of `values`."""

    key: str
    # None: any value.
    values: frozenset[str] | None
    wanted: bool

    def matches(self, labels: dict[str, str]) -> bool:
        """Tell whether the labels of an object satisfy it; an absent key satisfies every negative requirement."""
        found = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return found is self.wanted


def parse_label_selector(text: str) -> list[Requirement]:
    """Parse a label selector. Raises BadRequest with the text of the API server when it cannot be read."""
    return [_label_requirement(part, text) for part in _split_outside_parentheses(text)]


def _label_requirement(part: str, whole: str) -> Requirement:
    if match := _SET.match(part):
        values = frozenset(value.strip() for value in match["values"].split(","))
        requirement = Requirement(match["key"], values, match["op"] == "in")
    elif match := _EQUALITY.match(part):
        requirement = Requirement(match["key"], frozenset({match["value"]}), match["op"] != "!=")
    elif part.startswith("!"):
        requirement = Requirement(part[1:].strip(), None, False)
    else:
        requirement = Requirement(part, None, True)
    problem = qualified_name_problem(requirement.key)
    if problem:
        raise BadRequest(
            f'unable to parse requirement: <nil>: Invalid value: "{requirement.key}": {problem} (in selector "{whole}")'
        )
    return requirement


def _split_outside_parentheses(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def parse_field_selector(resource: Resource, text: str) -> list[tuple[str, str, bool]]:
    """Parse a field selector into (path, value, equal). Raises BadRequest for a field not offered."""
    terms = []
    for part in _split_outside_parentheses(text):
        match = re.match(r"^([^=!]+)(==|=|!=)(.*)$", part)
        if match is None:
            raise BadRequest(f"invalid selector: '{text}'; can't understand '{part}'")
        path, operator, value = match.groups()
        if path not in {"metadata.name", "metadata.namespace"} | resource.selectable:
            raise BadRequest(f'field label not supported: {path} (resource "{resource.stored}")')
        terms.append((path, value, operator != "!="))
    return terms


def field_value(obj: JsonObject, path: str) -> str:
    """Return the text at a dotted path of an object, "" when it is absent."""
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if path == "source" and isinstance(value, dict):
        value = value.get("component")
    return "" if value is None else str(value)


def compile_selectors(resource: Resource, label_selector: str | None, field_selector: str | None) -> Match | None:
    """Return a predicate on objects for the two selectors, None when neither selects anything. Raises BadRequest."""
    requirements = parse_label_selector(label_selector or "")
    terms = parse_field_selector(resource, field_selector or "")
    if not requirements and not terms:
        return None

    def matches(obj: JsonObject) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(requirement.matches(labels) for requirement in requirements) and all(
            (field_value(obj, path) == value) is equal for path, value, equal in terms
        )

    return matches
