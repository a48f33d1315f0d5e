"""Rows of tables as frozen dataclasses, and back: the one mapper of every `store` package.

Field names are column names. Annotations say how a column is read: `bool` from 0 and 1, `list[...]` and `dict[...]`
from JSON text, an `Enum` from its value, a dataclass from its own columns of the same row, anything else as SQLite
gives it; None stays None.
"""

import enum
import functools
import json
import operator
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(kind: type[T], row: sqlite3.Row) -> T:
    """Turn a row that has every column of `kind` (and perhaps more) into it."""
    return kind(*[read(row) for read in _readers(kind)])  # type: ignore[arg-type]


@functools.cache
def _readers(kind: type) -> tuple[Callable[[sqlite3.Row], Any], ...]:
    """Return for each field of a dataclass what takes its value out of a row, derived from the annotations."""
    hints = get_type_hints(kind)
    return tuple(_reader(each.name, _without_none(hints[each.name])) for each in fields(kind))


def _reader(name: str, hint: Any) -> Callable[[sqlite3.Row], Any]:
    column = operator.itemgetter(name)
    if is_dataclass(hint):
        return functools.partial(decode, hint)  # type: ignore[arg-type]
    convert: Callable[[Any], Any]
    if hint is bool or (isinstance(hint, type) and issubclass(hint, enum.Enum)):
        convert = hint
    elif get_origin(hint) in (dict, list):
        convert = json.loads
    else:
        return column
    return lambda row: None if (value := column(row)) is None else convert(value)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        return next(each for each in get_args(hint) if each is not type(None))
    return hint


def from_json(kind: type[T], text: str) -> T:
    """Return a dataclass from the JSON of its fields, as `dataclasses.asdict` gives them.

    Enums, tuples and dataclasses inside it come back as such; a field that an older text does not have is the default.
    """
    built: T = _built(kind, json.loads(text))
    return built


def _built(hint: Any, value: Any) -> Any:
    hint = _without_none(hint)
    if value is not None and is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{name: _built(hints[name], each) for name, each in value.items()})  # type: ignore[operator]
    if value is not None and isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    return tuple(value) if get_origin(hint) is tuple else value


def to_json(value: Any) -> str:
    """Encode a JSON column; raises ValueError on NaN and the infinities, which have no JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def insert(conn: sqlite3.Connection, table: str, values: Mapping[str, Any]) -> int:
    """Insert one row (lists and dicts as JSON) and return its rowid; `table` and the keys are names from code."""
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    cursor = conn.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", [_column(v) for v in values.values()])
    return int(cursor.lastrowid or 0)


def upsert(conn: sqlite3.Connection, table: str, key: Sequence[str], values: Mapping[str, Any]) -> None:
    """Insert one row, or set the columns of the one that has the same values in the columns of `key`."""
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    changes = ", ".join(f"{name} = excluded.{name}" for name in values if name not in key)
    query = f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    conn.execute(query, [_column(v) for v in values.values()])


def update(conn: sqlite3.Connection, table: str, key: tuple[str, Any], values: Mapping[str, Any]) -> None:
    """Set columns (lists and dicts as JSON) of the row whose column `key[0]` is `key[1]`; nothing without `values`."""
    if values:
        names = ", ".join(f"{name} = ?" for name in values)
        conn.execute(f"UPDATE {table} SET {names} WHERE {key[0]} = ?", [*map(_column, values.values()), key[1]])


def fetch(conn: sqlite3.Connection, kind: type[T], query: str, *arguments: Any) -> list[T]:
    """Run a query whose rows hold every column of `kind`."""
    return [decode(kind, row) for row in conn.execute(query, arguments)]


def fetch_one(conn: sqlite3.Connection, kind: type[T], query: str, *arguments: Any) -> T | None:
    """Return the first row of a query as `kind`, None when there is none."""
    row = conn.execute(query, arguments).fetchone()
    return None if row is None else decode(kind, row)


def _column(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return to_json(value) if isinstance(value, list | dict) else value
