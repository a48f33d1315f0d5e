import json

import pytest
from click.testing import CliRunner

from pdk.cli.images import delete_image, list_images, set_image


@pytest.fixture
def run(tmp_path):
    def run(command, *words):
        return CliRunner().invoke(command, list(map(str, words)), env={"PDK_HOME": str(tmp_path / "home")})

    return run


def test_an_image_is_set_listed_and_forgotten(run, tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    assert run(set_image, "x/pdk:v1", folder, "--env", "A=b=c", "--trust-checkpoints").exit_code == 0
    stored = json.loads((tmp_path / "home" / "images.json").read_text())
    entry = {"folder": str(folder), "python": "", "env": {"A": "b=c"}, "trust_checkpoints": True}
    assert stored == {"x/pdk:v1": entry}
    listed = run(list_images).output
    assert ["x/pdk:v1", str(folder), "-", "yes"] in [line.split() for line in listed.splitlines()]
    assert "pdk-train" in listed
    assert run(delete_image, "x/pdk:v1").exit_code == 0
    assert json.loads((tmp_path / "home" / "images.json").read_text()) == {}


def test_what_cannot_be_set_or_forgotten_is_named(run, tmp_path):
    assert "does not exist" in run(set_image, "x", tmp_path / "gone").output
    assert "'x' was not set by pdk image; set are: none" in run(delete_image, "x").output
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "images.json").write_text("[]")
    assert "must hold images by name" in str(run(list_images).exception)
