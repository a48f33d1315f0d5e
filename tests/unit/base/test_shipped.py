"""The lookup of what lies beside the package serves a clone and an installed wheel."""

from pathlib import Path

import pytest

from pdk.base.errors import FailedPrecondition
from pdk.base.shipped import shipped_folder


def test_an_editable_installation_uses_the_clones_own_folders():
    assert shipped_folder() == Path(__file__).parents[3]


def test_a_wheel_carries_them_within_the_package(tmp_path):
    package = tmp_path / "site-packages" / "pdk"
    (package / "shipped" / "containers").mkdir(parents=True)
    (tmp_path / "containers").mkdir()
    assert shipped_folder(package) == package / "shipped"


def test_an_installation_without_them_says_so(tmp_path):
    with pytest.raises(FailedPrecondition, match="was installed without its containers"):
        shipped_folder(tmp_path / "site-packages" / "pdk")
