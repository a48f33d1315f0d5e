from pathlib import Path

import pytest

from pdk.pachyderm.pps.images import ImageMap, ImageTarget, image_name


@pytest.mark.parametrize(
    "image",
    [
        "pdk-train",
        "pdk-train:0.1.0",
        "registry:5000/x/pdk-train:v1",
        "x/pdk-train@sha256:00ff",
        "h/pdk-train:v1@sha256:00",
    ],
)
def test_an_image_is_found_by_its_bare_name(image):
    target = ImageTarget(cwd=Path("/somewhere"))
    assert image_name(image) == "pdk-train"
    assert ImageMap({"pdk-train": target}).resolve(image) is target


def test_other_images_are_not_mapped():
    assert ImageMap({"pdk-train": ImageTarget()}).resolve("pdk-trainer:1") is None
