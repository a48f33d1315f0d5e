"""What an archive's probe.json asks, and when an answer is the expected one."""

import pytest

from pdk.kserve.predictor.probes import Probe, difference, in_background, parse_probe

BODY = {"instances": [1]}


@pytest.mark.parametrize(
    ("document", "probe"),
    [
        (BODY, Probe(BODY)),
        ({"request": BODY}, Probe(BODY)),
        ({"request": BODY, "predictions": [[1, 0.5]], "seconds": {}}, Probe(BODY, [[1, 0.5]])),
    ],
)
def test_both_forms_are_read_and_written_back(document, probe):
    assert parse_probe(document) == probe
    assert parse_probe(probe.document()) == probe


@pytest.mark.parametrize(
    "document", [[], {}, {"instances": 1}, {"request": [1]}, {"request": BODY, "predictions": {"a": 1}}]
)
def test_other_documents_are_refused(document):
    with pytest.raises(ValueError, match="must"):
        parse_probe(document)


@pytest.mark.parametrize(
    ("expected", "answered"),
    [
        ([1, "a", None, True], [1, "a", None, True]),
        ([1, 0.5], [1.0, 0.50004]),
        ([1e6], [1e6 + 50]),
        ([{"a": [0.0]}], [{"a": [-0.00005]}]),
        ([10**400], [10**400]),
    ],
)
def test_equal_within_the_tolerance(expected, answered):
    assert difference(expected, answered) == ""


@pytest.mark.parametrize(
    ("expected", "answered", "text"),
    [
        ([0.5], [0.5002], "predictions[0] is 0.5002 instead of 0.5"),
        ([1e6], [1e6 + 200], "predictions[0] is 1000200.0 instead of 1000000.0"),
        ([[1, 2]], [[1]], "predictions[0] has 1 entries instead of 2"),
        ([[1]], [1], "predictions[0] is 1 instead of [1]"),
        ([{"a": 1}], [{"b": 1}], "predictions[0] has the keys ['b'] instead of ['a']"),
        ([{"a": "x"}], [{"a": "y"}], "predictions[0].a is 'y' instead of 'x'"),
        ([1], [True], "predictions[0] is True instead of 1"),
        ([10**400], [1.0], "predictions[0] is 1.0 instead of 1000"),
        ([], "nothing", "predictions is 'nothing' instead of []"),
    ],
)
def test_the_first_difference_is_named(expected, answered, text):
    assert difference(expected, answered).startswith(text)


def test_what_fails_in_the_background_fails_where_it_is_looked_at():
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 / 0, "x").result(5)
    assert in_background(lambda: None, "x").result(5) is None
