import random

import pytest

from pdk.base.errors import InvalidArgument
from pdk.projects.profile import profile

ROWS = 60


def write(path, header, row, rows=ROWS, separator=",", encoding="utf-8"):
    draw = random.Random(1)
    lines = [separator.join(header), *(separator.join(map(str, row(i, draw))) for i in range(rows))]
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "table.csv"


def entries(found):
    return {fact["name"]: fact for fact in found.contract["columns"]}


def texts(found):
    return " / ".join(note.text for note in found.notes)


def test_kinds_ranges_and_what_stands_in_for_a_missing_value(file):
    def row(i, draw):
        return draw.randint(1, 9), f"{draw.gauss(5, 1):.2f}", draw.choice("ab"), draw.choice(["", "x", "y", "x"]), i % 2

    found = profile(write(file, ["count", "size", "plan", "note", "left"], row), "left")
    columns = entries(found)
    assert columns["count"] == {"name": "count", "kind": "numeric", "dtype": "int", "min": -79, "max": 90}
    assert columns["size"]["dtype"] == "float"
    assert sorted(columns["plan"]["categories"]) == ["a", "b"]
    assert columns["note"]["missing"] == {"impute": "x"}
    assert columns["left"] == {"name": "left", "kind": "label", "values": [0, 1]}
    assert (found.task, found.rows) == ("binary", ROWS)
    assert "task" not in found.contract
    assert len(found.sample) == 3
    assert "rows have no value: 'x' stands in for it" in texts(found)


@pytest.mark.parametrize(
    ("values", "task", "expected"),
    [
        (["Yes", "No"], "binary", {"No": 0, "Yes": 1}),
        (["stayed", "left"], "binary", {"stayed": 0, "left": 1}),
        (["cat", "dog"], "binary", {"cat": 0, "dog": 1}),
        ([2, 1], "binary", [1, 2]),
        (["a", "b", "c"], "multiclass", ["a", "b", "c"]),
        ([1, 2, 3, 4], "multiclass", [1, 2, 3, 4]),
    ],
)
def test_the_labels_task_and_classes(file, values, task, expected):
    found = profile(write(file, ["x", "y"], lambda i, draw: (draw.random(), values[i % len(values)])), "y")
    assert found.task == task
    assert entries(found)["y"]["values"] == expected


def test_which_text_means_yes_is_unsure_where_the_words_do_not_say_so(file):
    found = profile(write(file, ["x", "y"], lambda i, draw: (draw.random(), ["cat", "dog"][i % 2])), "y")
    assert [note.unsure for note in found.notes if "class 1" in note.text] == [True]


def test_numbers_are_a_regression_and_a_task_can_be_given(file):
    numbers = write(file, ["x", "y"], lambda i, draw: (draw.random(), f"{draw.gauss(9, 2):.3f}"))
    assert (profile(numbers, "y").task, entries(profile(numbers, "y"))["y"]["dtype"]) == ("regression", "float")
    classes = write(file, ["x", "y"], lambda i, draw: (draw.random(), i % 3))
    assert profile(classes, "y").task == "multiclass"
    assert profile(classes, "y", "regression").contract["task"] == "regression"


def test_what_is_left_out_is_named_with_the_reason(file):
    header = ["customer_id", "key2", "constant", "nothing", "remark", "since", "leak", "data", "", "x", "y"]

    def row(i, draw):
        left = i * 7 % 3 == 0
        return (
            1000 + i, f"K{i}", 7, "", f"text {i % 40} of some length", f"2024-01-{i % 28 + 1:02}",
            "gone" if left else "here", draw.random(), i, draw.random(), "Yes" if left else "No",
        )  # fmt: skip

    found = profile(write(file, header, row), "y")
    assert found.contract["ignored"].keys() == set(header) - {"x", "y"}
    for column, reason in {
        "customer_id": "an identifier", "key2": "an identifier", "constant": "the same value", "nothing": "no value",
        "remark": "free text", "since": "dates", "leak": "one label", "data": "rename the column", "": "a row number",
    }.items():  # fmt: skip
        assert reason in found.contract["ignored"][column], column
        assert f"column {column!r} is left out: " in texts(found)


def test_a_number_that_is_the_label_is_left_out(file):
    def row(i, draw):
        rent = draw.gauss(900, 100)
        return f"{rent * 1.19:.4f}", draw.random(), f"{rent:.4f}"

    assert "in other numbers" in profile(write(file, ["gross", "x", "net"], row), "net").contract["ignored"]["gross"]


def test_how_the_file_is_written(file):
    def row(i, draw):
        return (
            f"{draw.gauss(5, 1):.2f}".replace(".", ","),
            " größer " if i % 2 else "kleiner",
            i % 2 if i % 7 else 1 - i % 2,
        )

    found = profile(write(file, ["maß", " art", "y"], row, separator=";", encoding="latin-1"), "y")
    rules = ("separator", "encoding", "decimal", "strip")
    assert {key: found.contract[key] for key in rules} == {
        "separator": ";", "encoding": "latin-1", "decimal": ",", "strip": True,
    }  # fmt: skip
    assert entries(found)["art"]["categories"] == ["größer", "kleiner"]
    assert "read as Latin-1" in texts(found)


def test_rows_without_a_label_are_said_and_dropped(file):
    found = profile(write(file, ["x", "y"], lambda i, draw: (draw.random(), "" if i < 5 else i % 2)), "y")
    assert entries(found)["y"]["missing"] == "drop"
    assert "5 rows have no label" in texts(found)


def test_python_keywords_and_unicode_are_names_like_others(file):
    found = profile(write(file, ["class", "größe", "y"], lambda i, draw: (draw.random(), draw.random(), i % 2)), "y")
    assert {"class", "größe", "y"} == set(entries(found))


def plain(i, draw):
    return draw.random(), i % 2


REFUSED = {
    "no such column": (["x", "y"], plain, "z", "has no column 'z'; it has 'x', 'y'"),
    "other case": (["x", "y"], plain, "Y", "did you mean 'y'?"),
    "one column": (["y"], lambda i, draw: (i % 2,), "y", "has one column"),
    "few rows": (["x", "y"], plain, "y", "has 3 rows; at least 20"),
    "one class": (["x", "y"], lambda i, draw: (draw.random(), "Yes"), "y", "every row has the same label, 'Yes'"),
    "no label": (["x", "y"], lambda i, draw: (draw.random(), ""), "y", "the label 'y' has no value in any row"),
    "texts": (["x", "y"], lambda i, draw: (draw.random(), f"t{i}"), "y", "has 200 different texts"),
    "nothing left": (
        ["x", "y"],
        lambda i, draw: (7, i % 2),
        "y",
        "no column is left to learn from: x: it has",
    ),
    "doubled names": (["x", "x", "y"], lambda i, draw: (1, 2, 0), "y", "names column 'x' 2 times"),
    "no header": (["1", "2"], plain, "y", "has no header"),
    "a comma at the end": (["x", "y"], lambda i, draw: (1, 2, ""), "y", "a separator at the end of every line"),
    "ragged": (["x", "y"], lambda i, draw: (1,) if i == 4 else (1, 2), "y", "row 5: has 1 values, the header has 2"),
}


@pytest.mark.parametrize(("header", "row", "label", "text"), REFUSED.values(), ids=REFUSED)
def test_what_nothing_can_be_learned_from_is_refused(file, header, row, label, text):
    rows = {"few rows": 3, "texts": 200}.get(next(name for name, case in REFUSED.items() if case[3] == text), ROWS)
    with pytest.raises(InvalidArgument) as refused:
        profile(write(file, header, row, rows), label)
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "is empty"), (b"x,y\n", "has a header but no rows"), (b"PK\3\4\0\0\0", "not CSV but binary")],
)
def test_what_is_no_table_is_refused(file, content, text):
    file.write_bytes(content)
    with pytest.raises(InvalidArgument, match=text):
        profile(file, "y")
    with pytest.raises(InvalidArgument, match="cannot be read"):
        profile(file.with_name("nothing.csv"), "y")


def test_ten_thousand_columns_take_no_minutes(file):
    names = [f"c{i}" for i in range(10_000)]
    found = profile(write(file, [*names, "y"], lambda i, draw: [*[draw.random()] * 10_000, i % 2], 30), "y")
    assert len(found.contract["columns"]) == 10_001
