"""Summaries of metrics."""

from pdk.determined.master import summaries


def test_numbers():
    summary = summaries.of([{"loss": 3}, {"loss": 1.0}, {"loss": 2}])["loss"]
    assert (summary["min"], summary["max"], summary["mean"], summary["sum"], summary["last"]) == (1.0, 3, 2.0, 6.0, 2)
    assert (summary["type"], summary["count"]) == ("number", 3)


def test_values_that_are_not_finite_count_but_do_not_spoil():
    summary = summaries.of([{"loss": "NaN"}, {"loss": 4}, {"loss": "Infinity"}])["loss"]
    assert (summary["type"], summary["count"], summary["min"], summary["mean"]) == ("number", 3, 4, 4)
    assert summary["last"] == "Infinity"
    assert "min" not in summaries.of([{"loss": "NaN"}])["loss"]


def test_other_types():
    summary = summaries.of([{"a": "x", "b": [1], "c": True, "d": {"e": 1}, "f": None}])
    assert {name: each["type"] for name, each in summary.items()} == {
        "a": "string",
        "b": "array",
        "c": "boolean",
        "d": "object",
        "f": "null",
    }


def test_mixed_types_are_text():
    assert summaries.of([{"a": 1}, {"a": "x"}])["a"] == {"type": "string", "count": 2, "last": "x"}


def test_names_of_groups():
    assert [summaries.key(group) for group in ("training", "validation", "gpu")] == [
        "avg_metrics",
        "validation_metrics",
        "gpu",
    ]
