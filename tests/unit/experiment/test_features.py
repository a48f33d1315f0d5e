import ast
import dataclasses
import json
import math
import sys
from pathlib import Path

import feature_spec
import features
import fitting
import numpy as np
import pytest
from feature_spec import FeatureError, FeatureSpec, RowError, Scale
from hypothesis import given
from hypothesis import strategies as st

SPEC = FeatureSpec(
    columns=("months", "plan", "revenue"),
    numeric={"months": Scale(10.0, 2.0), "revenue": Scale(50.0, 10.0)},
    categorical={"plan": ("basic", "gold")},
    label="churn",
)
COLUMNS = {"months": [10, 14], "plan": ["gold", "basic"], "revenue": [60.0, 50]}
ENCODED = [[0.0, 1.0, 0.0, 1.0], [2.0, 0.0, 1.0, 0.0]]


def changed(**columns):
    return {**COLUMNS, **columns}


def test_encode_scales_numbers_and_gives_every_category_a_slot():
    encoded = features.encode(COLUMNS, SPEC)
    assert encoded.dtype == np.float32
    assert encoded.tolist() == ENCODED
    assert SPEC.feature_names == ("months", "revenue", "plan=basic", "plan=gold")
    assert SPEC.n_features == 4


def test_columns_are_found_by_name_and_others_ignored():
    shuffled = {
        "extra": ["x", None],
        "revenue": [60.0, 50],
        "churn": [1, 0],
        "plan": ["gold", "basic"],
        "months": (10, 14),
    }
    assert features.encode(shuffled, SPEC).tolist() == ENCODED


def test_arrays_and_lists_encode_alike():
    arrays = {"months": np.array([10, 14]), "plan": np.array(["gold", "basic"]), "revenue": np.array([60.0, 50.0])}
    assert features.encode(arrays, SPEC).tolist() == ENCODED
    mixed = {**arrays, "months": [10, np.int64(14)]}
    assert features.encode(mixed, SPEC).tolist() == ENCODED


def test_no_rows_encode_to_no_rows():
    assert features.encode({"months": [], "plan": [], "revenue": []}, SPEC).shape == (0, 4)


@pytest.mark.parametrize(
    ("columns", "row", "column", "reason"),
    [
        ({"months": [1], "plan": ["gold"]}, 0, "revenue", "the column is missing"),
        (changed(months=[10, "14"]), 1, "months", "expected a number, got '14' (str)"),
        (changed(months=[True, 14]), 0, "months", "expected a number, got True (bool)"),
        (changed(months=[[1], 14]), 0, "months", "expected a number, got [1] (list)"),
        (changed(revenue=[None, 1.0]), 0, "revenue", "has no value"),
        (changed(revenue=[1.0, math.nan]), 1, "revenue", "has no value"),
        (changed(revenue=np.array([1.0, math.nan])), 1, "revenue", "has no value"),
        (changed(revenue=[1.0, math.inf]), 1, "revenue", "expected a finite number, got inf"),
        (changed(revenue=[1.0, 10**400]), 1, "revenue", "expected a finite number, got 1000"),
        (changed(revenue=[1.0, 1e300]), 1, "revenue", "is out of range: 1e+300"),
        (changed(plan=["gold", "silver"]), 1, "plan", "unknown category 'silver' (str); known: 'basic', 'gold'"),
        (changed(plan=[3, "gold"]), 0, "plan", "expected a text, got 3 (int)"),
        (changed(plan=[["gold"], "gold"]), 0, "plan", "expected a text, got ['gold'] (list)"),
        (changed(plan=["gold", None]), 1, "plan", "has no value"),
        (changed(plan=["gold"]), 1, "plan", "the column has 1 rows, others have 2"),
    ],
)
def test_what_cannot_be_encoded_is_named(columns, row, column, reason):
    with pytest.raises(RowError) as error:
        features.encode(columns, SPEC)
    assert (error.value.row, error.value.column) == (row, column)
    assert reason in error.value.reason
    assert f"row {row}, column {column!r}: " in str(error.value)


def test_the_first_wrong_row_is_named_whatever_its_column():
    with pytest.raises(RowError) as error:
        features.encode(changed(months=[10, "x"], revenue=["y", 1.0]), SPEC)
    assert (error.value.row, error.value.column) == (0, "revenue")


def test_a_long_value_is_not_shown_whole():
    with pytest.raises(RowError) as error:
        features.encode(changed(months=[10, "x" * 10_000]), SPEC)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("column", ["text", {"0": 1}, 5])
def test_a_column_that_is_no_list_is_refused(column):
    with pytest.raises(FeatureError, match="'months': expected a list of values"):
        features.encode(changed(months=column), SPEC)


def test_unknown_categories_go_to_a_slot_of_their_own_where_allowed():
    spec = dataclasses.replace(SPEC, allow_unknown_categories=True)
    assert spec.feature_names[-3:] == ("plan=basic", "plan=gold", "plan=<other>")
    encoded = features.encode(changed(plan=["silver", "gold"]), spec)
    assert encoded[:, 2:].tolist() == [[0, 0, 1], [0, 1, 0]]
    # Its name is no way in, and a missing value is no category.
    assert features.encode(changed(plan=["<other>", "gold"]), spec)[0, 2:].tolist() == [0, 0, 1]
    with pytest.raises(RowError, match="has no value"):
        features.encode(changed(plan=[None, "gold"]), spec)


def test_missing_values_are_filled_in_only_where_declared_and_marked():
    spec = dataclasses.replace(SPEC, impute={"revenue": 50.0, "plan": "basic"})
    assert spec.feature_names == ("months", "revenue", "plan=<missing>", "revenue=<missing>", "plan=basic", "plan=gold")
    columns = {"months": [10, 12], "plan": [None, "gold"], "revenue": [60.0, math.nan]}
    assert features.encode(columns, spec).tolist() == [[0, 1, 1, 0, 1, 0], [1, 0, 0, 1, 0, 1]]
    with pytest.raises(RowError, match="row 1, column 'months': has no value"):
        features.encode({**columns, "months": [10, None]}, spec)


def test_fit_learns_scales_and_categories(contract):
    columns = {"churn": [0, 1], "revenue": [40.0, 60.0], "months": [3, 3], "plan": ["gold", "gold"]}
    spec = fitting.fit(columns, contract)
    assert spec.columns == ("months", "plan", "revenue")
    assert spec.label == "churn"
    assert spec.numeric["revenue"] == Scale(50.0, 10.0)
    assert spec.numeric["months"] == Scale(3.0, 1.0)  # a constant column is not divided by zero
    assert spec.categorical == {"plan": ("basic", "gold")}


def test_fit_takes_the_categories_it_sees_where_the_contract_lists_none(contract):
    del contract["columns"][1]["categories"]
    contract["unknown_categories"] = "other"
    columns = {"churn": [0, 1, 0], "revenue": [1.0, 2.0, 3.0], "months": [3, 4, 5], "plan": ["z", "a", "z"]}
    spec = fitting.fit(columns, contract)
    assert spec.categorical == {"plan": ("a", "z")}
    assert spec.allow_unknown_categories


def test_fit_leaves_missing_values_out_of_the_scale(contract):
    contract["columns"][3]["missing"] = {"impute": "mean"}
    contract["columns"][1]["missing"] = {"impute": "gold"}
    columns = {"churn": [0, 1], "revenue": [math.nan, 60.0], "months": [3, 4], "plan": ["gold", None]}
    spec = fitting.fit(columns, contract)
    assert spec.impute == {"plan": "gold", "revenue": 60.0}
    assert features.encode(columns, spec).shape == (2, spec.n_features)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"revenue": [math.nan], "months": [3], "plan": ["gold"]}, "row 0, column 'revenue': has no value"),
        ({"revenue": [1.0], "months": ["3"], "plan": ["gold"]}, "expected a number"),
        ({"revenue": [], "months": [], "plan": []}, "no rows to fit on"),
        ({"revenue": [1.0], "plan": ["gold"]}, "'months': the column is missing"),
    ],
)
def test_fit_refuses_what_encode_would(contract, columns, reason):
    with pytest.raises(FeatureError, match=reason):
        fitting.fit(columns, contract)


def test_a_spec_survives_json():
    spec = dataclasses.replace(SPEC, allow_unknown_categories=True, impute={"plan": "basic", "months": 1.5})
    assert FeatureSpec.from_json(spec.to_json()) == spec
    assert FeatureSpec.from_json(SPEC.to_json()) == SPEC


def broken(**changes):
    return json.dumps({**json.loads(SPEC.to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "malformed"),
        ("{}", "incomplete"),
        (broken(version=2), "version 2"),
        (broken(columns=["months", "plan"]), "not those that are numeric or categorical"),
        (broken(columns=["months", "months", "plan", "revenue"]), "named twice"),
        (broken(label="plan"), "the label is among the columns"),
        (broken(numeric={"months": {"mean": 1, "std": 0}, "revenue": {"mean": 0, "std": 1}}), "no usable scale"),
        (broken(numeric={"months": {"mean": "x", "std": 1}, "revenue": {"mean": 0, "std": 1}}), "malformed"),
        (broken(categorical={"plan": []}), "categories must be texts"),
        (broken(categorical={"plan": ["a", "a"]}), "categories must be texts"),
        (broken(categorical={"plan": [1, 2]}), "categories must be texts"),
        (broken(impute={"plan": "silver"}), "cannot stand in"),
        (broken(impute={"other": 1}), "cannot stand in"),
        (broken(allow_unknown_categories="yes"), "true or false"),
    ],
)
def test_a_broken_spec_is_refused(text, reason):
    with pytest.raises(FeatureError, match=reason):
        FeatureSpec.from_json(text)


def test_rows_become_columns():
    rows = [{"a": 1, "b": "x"}, {"b": "y", "a": 2}]
    assert features.rows_to_columns(rows) == {"a": [1, 2], "b": ["x", "y"]}
    assert features.rows_to_columns([]) == {}


def test_a_row_that_lacks_a_key_is_named():
    with pytest.raises(RowError) as error:
        features.rows_to_columns([{"a": 1, "b": 2}, {"a": 1}])
    assert (error.value.row, error.value.column, error.value.reason) == (1, "b", "is missing")
    with pytest.raises(RowError) as error:
        features.rows_to_columns([{"a": 1}, {"a": 1, "b": 2}])
    assert (error.value.row, error.value.column) == (0, "b")
    with pytest.raises(RowError, match="row 1: expected an object"):
        features.rows_to_columns([{"a": 1}, [1]])


def test_with_a_spec_only_its_columns_are_wanted():
    rows = [
        {"months": 1, "plan": "gold", "revenue": 2.0, "churn": 1},
        {"plan": "gold", "revenue": 2.0, "months": 3, "id": 7},
    ]
    assert features.rows_to_columns(rows, SPEC) == {"months": [1, 3], "plan": ["gold"] * 2, "revenue": [2.0, 2.0]}
    with pytest.raises(RowError, match="row 0, column 'revenue': is missing"):
        features.rows_to_columns([{"months": 1, "plan": "gold"}], SPEC)


def encoded_or_error(columns, spec):
    try:
        return features.encode(columns, spec)
    except RowError as error:
        return error


values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just("gold"))


@given(st.lists(st.tuples(values, values, values), max_size=4), st.booleans(), st.booleans())
def test_whatever_comes_the_result_is_finite_or_names_a_row(rows, allow, impute):
    spec = dataclasses.replace(
        SPEC, allow_unknown_categories=allow, impute={"revenue": 50.0, "plan": "gold"} if impute else {}
    )
    columns = dict(
        zip(("months", "plan", "revenue"), map(list, zip(*rows, strict=True)) if rows else ([], [], []), strict=True)
    )
    outcome = encoded_or_error(columns, spec)
    if isinstance(outcome, RowError):
        assert 0 <= outcome.row < len(rows)
        assert outcome.column in columns
    else:
        assert outcome.shape == (len(rows), spec.n_features)
        assert np.isfinite(outcome).all()


def test_the_churn_data_gives_the_width_the_original_network_had(churn_contract):
    request = json.loads(
        (Path(features.__file__).parents[1] / "sample-data" / "customer_churn_sample.json").read_text()
    )
    columns = {name: list(rows.values()) for name, rows in request.items()}
    spec = fitting.fit(columns, churn_contract)
    assert spec.n_features == 139
    encoded = features.encode(columns, spec)
    assert encoded.shape == (10, 139)
    one = features.encode({name: column[3:4] for name, column in columns.items()}, spec)
    assert (one[0] == encoded[3]).all()


@pytest.mark.parametrize("module", [features, feature_spec])
def test_it_runs_where_only_numpy_and_an_old_python_are(module):
    source = Path(module.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    others = {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names)
    assert others <= {"numpy", "feature_spec"}
    assert "from __future__ import annotations" in source  # `X | None` is evaluated nowhere
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "strict"]
