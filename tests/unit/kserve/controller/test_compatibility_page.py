"""docs/compatibility/kserve.md says what the code does."""

import re
from pathlib import Path

import pytest

from pdk.kserve.controller.route import VERSION_HEADERS
from pdk.kserve.predictor import failures
from pdk.kserve.predictor.config_properties import OPTIONS
from pdk.kserve.predictor.credentials import SETTINGS
from pdk.kserve.predictor.storage_uri import SCHEMES

PAGE = Path(__file__).parents[4] / "docs/compatibility/kserve.md"


def section(title):
    return re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[
        [part.partition("\n")[0] for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)].index(title)
    ]


def first_cells(text):
    return re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE)


def test_schemes():
    assert [cell.removesuffix("://") for cell in first_cells(section("Storage"))] == list(SCHEMES)
    assert all(f"s3-{name}" in section("Storage") for name in SETTINGS)


def test_keys_of_config_properties():
    assert set(first_cells(section("TorchServe"))) - {"model_snapshot"} == set(OPTIONS)


def test_headers():
    rows = re.findall(r"^\| `(x-pdk-[\w-]+)` \| `([^`]+)` \|", section("Ingress"), flags=re.MULTILINE)
    assert dict(rows) == VERSION_HEADERS


@pytest.mark.parametrize("reason", failures.FailureReason)
def test_reasons(reason):
    assert reason in first_cells(section("InferenceService"))
