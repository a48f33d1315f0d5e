from pathlib import Path

import pytest

from pdk.pachyderm.pps.images import ImageMap, ImageTarget

TARGET = ImageTarget(cwd=Path("/somewhere"))


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
    assert ImageMap(lambda: {"pdk-train": TARGET}).resolve(image) is TARGET


def test_the_closest_entry_counts():
    names = ["r:5000/x/pdk:train", "r:5000/x/pdk", "pdk:train", "pdk"]
    targets = {name: ImageTarget(cwd=Path(name)) for name in names}
    for name in names:
        assert str(ImageMap(lambda: targets).resolve("r:5000/x/pdk:train").cwd) == name
        del targets[name]
    assert ImageMap(lambda: targets).resolve("r:5000/x/pdk:train") is None


def test_images_that_differ_by_tag_alone_are_told_apart():
    images = ImageMap(lambda: {"pdk:train-v1": TARGET, "pdk:deploy-v1": ImageTarget()})
    assert images.resolve("pachyderm/pdk:train-v1") is TARGET
    assert images.resolve("pachyderm/pdk:deploy-v1") == ImageTarget()
    assert images.resolve("pachyderm/pdk:other") is None


def test_other_images_are_not_mapped():
    assert ImageMap(lambda: {"pdk-train": ImageTarget()}).resolve("pdk-trainer:1") is None
