import json

import contract as contracts
import generate
import pytest
from contract import ContractError


def test_the_churn_contract_names_the_columns_of_the_data(churn_contract):
    kept = ("name", "kind", "values", "categories")
    schema = generate.load_schema()["columns"]
    assert [{key: fact[key] for key in kept if key in fact} for fact in churn_contract["columns"]] == [
        {key: fact[key] for key in kept if key in fact} for fact in schema
    ]
    numeric = {fact["name"]: fact["dtype"] for fact in schema if fact["kind"] == "numeric"}
    assert {f["name"]: f["dtype"] for f in churn_contract["columns"] if f["kind"] == "numeric"} == numeric


def test_which_files_hold_data(contract):
    assert contracts.is_data_file("/data_part1.csv", contract)
    assert contracts.is_data_file("/2024/more.csv", contract)
    assert not contracts.is_data_file("/README.md", contract)
    assert not contracts.is_data_file("/x.csv/readme", contract)


def test_a_label_and_what_is_imputed(contract):
    assert contracts.label_of(contract)["name"] == "churn"
    assert contracts.imputes({"name": "x", "missing": {"impute": "mean"}})
    assert not contracts.imputes({"name": "x", "missing": "reject"})


def with_column(contract, index, **changes):
    column = {key: value for key, value in {**contract["columns"][index], **changes}.items() if value is not None}
    return {**contract, "columns": [*contract["columns"][:index], column, *contract["columns"][index + 1 :]]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: [], "must be an object with the keys"),
        (lambda c: {**c, "colums": []}, "unknown key 'colums'; known are"),
        (lambda c: {**c, "version": 7}, "version must be 1"),
        (lambda c: {**c, "files": []}, "files must be a list"),
        (lambda c: {**c, "extra_columns": "drop"}, "extra_columns must be"),
        (lambda c: {**c, "unknown_categories": "zero"}, "unknown_categories must be"),
        (lambda c: {**c, "columns": ["months"]}, "columns must be a list of objects"),
        (lambda c: {**c, "columns": [*c["columns"], c["columns"][0]]}, "'months': is named twice"),
        (lambda c: {**c, "columns": c["columns"][:2]}, "exactly one column must be of kind 'label'"),
        (lambda c: with_column(c, 0, kind="number"), "'months': kind must be one of"),
        (lambda c: with_column(c, 0, dtype=None), "'months': a numeric column needs dtype"),
        (lambda c: with_column(c, 1, categories=[]), "'plan': categories must be a list"),
        (lambda c: with_column(c, 2, missing={"impute": 0}), "'churn': a label needs its allowed values"),
        (lambda c: with_column(c, 3, missing="ignore"), "'revenue': missing must be"),
    ],
)
def test_a_broken_contract_is_refused_with_the_reason(tmp_path, contract, change, reason):
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(change(contract)))
    with pytest.raises(ContractError, match=reason):
        contracts.load(path)


def test_a_contract_that_is_no_json_is_refused(tmp_path):
    path = tmp_path / "contract.json"
    path.write_text("{")
    with pytest.raises(ContractError, match=r"contract.json: cannot be read as JSON"):
        contracts.load(path)
