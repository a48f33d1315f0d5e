"""Makes the experiment's modules importable the way a trial does, from their folder, and gives small data to them."""

import csv
import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
for folder in ("experiment", "sample-data"):
    sys.path.append(str(ROOT / folder))

CONTRACT = {
    "version": 1,
    "files": ["*.csv"],
    "extra_columns": "ignore",
    "unknown_categories": "reject",
    "columns": [
        {"name": "months", "kind": "numeric", "dtype": "int"},
        {"name": "plan", "kind": "categorical", "categories": ["basic", "gold"]},
        {"name": "churn", "kind": "label", "values": [0, 1]},
        {"name": "revenue", "kind": "numeric", "dtype": "float"},
    ],
}


@pytest.fixture
def contract():
    """A contract of four columns; tests may change it."""
    return json.loads(json.dumps(CONTRACT))


@pytest.fixture
def write_csv(tmp_path):
    """Write lines of values as a CSV; the first is the header."""

    def write(*lines, name="data.csv"):
        path = tmp_path / name
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
        return path

    return write


@pytest.fixture(scope="session")
def churn_contract():
    """The contract of the churn data."""
    return importlib.import_module("contract").load()
