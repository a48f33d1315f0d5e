import enum
import sqlite3
from dataclasses import asdict, dataclass

import pytest

from pdk.db import rows


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Thing:
    id: int
    name: str
    good: bool
    colour: Colour
    other: Colour | None
    parts: list[str]
    more: dict[str, int] | None


@dataclass(frozen=True)
class Shelf:
    thing: Thing
    count: int


@pytest.fixture
def conn():
    conn = sqlite3.connect(":memory:")
    conn.row_factory = sqlite3.Row
    conn.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name, good, colour, other, parts, more)")
    yield conn
    conn.close()


VALUES = {"name": "a", "good": True, "colour": Colour.RED, "other": None, "parts": ["x"], "more": {"y": 1}}


def test_what_is_written_is_read_again(conn):
    id = rows.insert(conn, "things", VALUES)
    assert rows.fetch(conn, Thing, "SELECT * FROM things") == [Thing(id=id, **VALUES)]
    stored = conn.execute("SELECT good, colour, parts FROM things").fetchone()
    assert tuple(stored) == (1, "red", '["x"]')


def test_a_row_inside_a_row_is_read_from_its_own_columns(conn):
    id = rows.insert(conn, "things", VALUES)
    (shelf,) = rows.fetch(conn, Shelf, "SELECT things.*, 3 AS count FROM things")
    assert shelf == Shelf(Thing(id=id, **VALUES), 3)


def test_a_missing_value_stays_missing_whatever_the_kind(conn):
    id = rows.insert(conn, "things", {**VALUES, "more": None})
    thing = rows.fetch_one(conn, Thing, "SELECT * FROM things WHERE id = ?", id)
    assert thing is not None
    assert thing.more is None
    assert thing.other is None


def test_an_optional_column_is_decoded_like_any_other(conn):
    id = rows.insert(conn, "things", {**VALUES, "other": Colour.BLUE})
    assert rows.fetch_one(conn, Thing, "SELECT * FROM things WHERE id = ?", id).other is Colour.BLUE


def test_an_update_sets_the_named_columns_of_one_row(conn):
    first, second = rows.insert(conn, "things", VALUES), rows.insert(conn, "things", VALUES)
    rows.update(conn, "things", ("id", first), {"colour": Colour.BLUE, "parts": []})
    rows.update(conn, "things", ("id", second), {})
    changed, other = rows.fetch(conn, Thing, "SELECT * FROM things ORDER BY id")
    assert (changed.colour, changed.parts, changed.name) == (Colour.BLUE, [], "a")
    assert other == Thing(id=second, **VALUES)


def test_no_row_is_none_and_an_unknown_enum_value_is_refused(conn):
    assert rows.fetch_one(conn, Thing, "SELECT * FROM things") is None
    rows.insert(conn, "things", {**VALUES, "colour": "green"})
    with pytest.raises(ValueError, match="green"):
        rows.fetch(conn, Thing, "SELECT * FROM things")


def test_nan_has_no_json():
    with pytest.raises(ValueError, match="JSON"):
        rows.to_json({"x": float("nan")})


@dataclass(frozen=True)
class Part:
    colour: Colour
    sizes: tuple[int, ...] = ()
    inner: "Part | None" = None


def test_a_dataclass_comes_back_from_json():
    part = Part(Colour.RED, (1, 2), Part(Colour.BLUE))
    found = rows.from_json(Part, rows.to_json(asdict(part)))
    assert found == part
    assert found.inner.colour is Colour.BLUE
    assert rows.from_json(Part, '{"colour": "red"}') == Part(Colour.RED)


def test_an_upsert_inserts_or_sets_all_other_columns(conn):
    conn.execute("CREATE UNIQUE INDEX things_name ON things (name, other)")
    rows.upsert(conn, "things", ("name", "other"), {"name": "a", "other": Colour.RED, "parts": ["x"]})
    rows.upsert(conn, "things", ("name", "other"), {"name": "a", "other": Colour.BLUE, "parts": ["x"]})
    rows.upsert(conn, "things", ("name", "other"), {"name": "a", "other": Colour.BLUE, "parts": ["y"]})
    assert [tuple(row) for row in conn.execute("SELECT other, parts FROM things")] == [
        ("red", '["x"]'),
        ("blue", '["y"]'),
    ]
