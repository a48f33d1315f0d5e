"""One decoded request: path and query parameters, body, caller. Handlers read requests through it only.

The clients send no Content-Type, empty bodies, and both camelCase and snake_case names; a list in a query is a repeated
key. Every accessor raises InvalidRequest naming the field when a value has the wrong type.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pdk.determined.errors import InvalidRequest, NotLoggedIn
from pdk.determined.master.paging import PageRequest
from pdk.determined.master.users import Caller

T = TypeVar("T")
N = TypeVar("N")

MAX_INTEGER = 2**31 - 1


@dataclass(frozen=True)
class RestCall:
    """A request to one route."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    body: Any = None
    token: str = ""
    accept: str = ""
    identity: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Who calls; raises NotLoggedIn on a route that needs nobody."""
        if self.identity is None:
            raise NotLoggedIn("invalid credentials")
        return self.identity

    @property
    def fields(self) -> "Fields":
        """The body, which must be an object (an empty one when there is none)."""
        return Fields({} if self.body is None else self.body)

    def id(self, name: str, kind: Callable[[int], N]) -> N:
        """Return a numeric path parameter as an id."""
        return kind(integer(self.path[name], name))

    def text(self, name: str) -> str:
        """Return the last value of a query parameter, "" when absent."""
        values = self.query.get(name, ())
        return values[-1] if values else ""

    def texts(self, name: str) -> list[str]:
        """Return every value of a query parameter."""
        return [value for value in self.query.get(name, ()) if value]

    def number(self, name: str, default: int = 0) -> int:
        """Return a numeric query parameter."""
        value = self.text(name)
        return integer(value, name) if value else default

    def numbers(self, name: str) -> list[int]:
        """Return every value of a numeric query parameter."""
        return [integer(value, name) for value in self.texts(name)]

    def flag(self, name: str) -> bool | None:
        """Return a boolean query parameter, None when absent."""
        value = self.text(name).lower()
        if value not in ("", "true", "false"):
            raise InvalidRequest(f"{name}: must be true or false, not {value[:40]!r}")
        return None if not value else value == "true"

    def enum(self, name: str, prefix: str, default: str = "UNSPECIFIED") -> str:
        """Return an enum query parameter without its prefix, `default` when it is not specified."""
        value = self.text(name).removeprefix(prefix)
        return default if value in ("", "UNSPECIFIED") else value

    def enums(self, name: str, prefix: str) -> list[str]:
        """Return every value of an enum query parameter without its prefix."""
        return [value.removeprefix(prefix) for value in self.texts(name)]

    def descending(self) -> bool | None:
        """Tell whether `orderBy` asks for descending order; None when it asks for nothing."""
        order = self.enum("orderBy", "ORDER_BY_")
        return None if order == "UNSPECIFIED" else order == "DESC"

    def page(self) -> PageRequest:
        """Return offset and limit."""
        return PageRequest(self.number("offset"), self.number("limit"))


class Fields:
    """An object of a body; names are given in camelCase and found in snake_case too. Absent and null are the same."""

    def __init__(self, values: Any) -> None:
        if not isinstance(values, Mapping):
            raise InvalidRequest("the request body must be a JSON object")
        self._values = values

    def get(self, name: str) -> Any:
        """Return a value as it is, None when absent."""
        value = self._values.get(name)
        return self._values.get(snake_case(name)) if value is None else value

    def required(self, name: str) -> str:
        """Return a text that must be given."""
        value = self.text(name)
        if value is None:
            raise InvalidRequest(f"{name}: is required")
        return value

    def text(self, name: str) -> str | None:
        """Return a text."""
        return self._typed(name, str, "text")

    def flag(self, name: str) -> bool | None:
        """Return a boolean."""
        return self._typed(name, bool, "true or false")

    def number(self, name: str) -> int | None:
        """Return an integer; int64 travel as text."""
        value = self.get(name)
        return None if value is None else integer(value, name)

    def id(self, name: str, kind: Callable[[int], N]) -> N | None:
        """Return a number as an id; 0 means absent."""
        return kind(self.number(name) or 0) or None

    def real(self, name: str) -> float | None:
        """Return a number."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidRequest(f"{name}: must be a number")
        return float(value)

    def object(self, name: str) -> dict[str, Any] | None:
        """Return an object."""
        return self._typed(name, dict, "an object")

    def fields(self, name: str) -> "Fields":
        """Return an inner object, an empty one when absent."""
        return Fields(self.object(name) or {})

    def objects(self, name: str) -> list["Fields"]:
        """Return a list of objects."""
        return [Fields(each) for each in self._typed(name, list, "a list") or []]

    def texts(self, name: str) -> list[str] | None:
        """Return a list of texts."""
        values = self._typed(name, list, "a list")
        if values is not None and not all(isinstance(value, str) for value in values):
            raise InvalidRequest(f"{name}: must be a list of text")
        return values

    def _typed(self, name: str, kind: type[T], what: str) -> T | None:
        value = self.get(name)
        if value is None or isinstance(value, kind):
            return value
        raise InvalidRequest(f"{name}: must be {what}")


def integer(value: Any, name: str) -> int:
    """Return an integer given as number or text, within 32 bits; raises InvalidRequest."""
    whole = isinstance(value, float) and value.is_integer()
    if isinstance(value, bool) or not (whole or isinstance(value, int | str)):
        raise InvalidRequest(f"{name}: must be an integer")
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,10}", value):
        raise InvalidRequest(f"{name}: must be an integer, not {value[:40]!r}")
    number = int(value)
    if abs(number) > MAX_INTEGER:
        raise InvalidRequest(f"{name}: {number} is out of range")
    return number


def snake_case(name: str) -> str:
    """Return `checkpointUuid` as `checkpoint_uuid`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match.group(1).lower()}", name)


def camel_case(name: str) -> str:
    """Return `timeout_seconds` as `timeoutSeconds`; dotted names part by part."""
    return re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), name)
