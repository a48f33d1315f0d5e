"""The template image: files as numbers, and the folder it leaves."""

import importlib.util
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TEMPLATE = Path(__file__).parents[3] / "templates" / "image"


@pytest.fixture(scope="module")
def images():
    spec = importlib.util.spec_from_file_location("template_images", TEMPLATE / "images.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["template_images"] = module
    spec.loader.exec_module(module)
    return module


def file_of(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
COLOUR = np.stack([GREY, GREY // 2, GREY // 4], axis=2)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_an_image_is_brought_to_size_and_channels(images, kind):
    for pixels in (GREY, COLOUR):
        for channels in (1, 3):
            found = images.decode(file_of(pixels, kind), images.Shape(16, channels))
            assert (found.shape, found.dtype) == ((channels, 16, 16), np.float32)
            assert 0 <= found.min() < found.max() <= 1


def test_the_file_of_an_image_gives_the_image(images):
    for pixels, channels in ((GREY, 1), (COLOUR, 3)):
        found = images.decode(file_of(pixels), images.Shape(8, channels))
        assert np.array_equal(images.decode(images.to_png(found), images.Shape(8, channels)), found)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "0 bytes that begin with b'' are no image"),
        (b"hello", "are no image"),
        (file_of(np.random.default_rng(1).integers(0, 255, (99, 99), np.uint8))[:999], "the image is broken"),
        (file_of(np.zeros((8000, 8000), np.uint8)), "8000 x 8000 pixels are more than 50000000"),
        (file_of(np.zeros((20_000, 20_000), np.uint8)), "exceeds limit"),
    ],
    ids=["empty", "text", "cut off", "large", "bomb"],
)
def test_what_is_no_image_is_named(images, content, problem):
    with pytest.raises(ValueError, match=problem):
        images.decode(content, images.Shape(8, 1))


def test_data_files_give_class_and_image(images, tmp_path):
    (tmp_path / "a.png").write_bytes(file_of(GREY))
    ((label, image),) = images.read("train/seven/a.png", tmp_path / "a.png", images.Shape(8, 1))
    assert (label, image.shape) == ("seven", (1, 8, 8))
    np.savez(tmp_path / "b.npz", images=np.stack([COLOUR, COLOUR]), labels=np.array([1, 7]))
    found = list(images.read("b.npz", tmp_path / "b.npz", images.Shape(4, 3)))
    assert [(label, image.shape) for label, image in found] == [("1", (3, 4, 4)), ("7", (3, 4, 4))]


def test_data_files_that_hold_no_images_are_named(images, tmp_path):
    path, archive = tmp_path / "a.png", tmp_path / "b.npz"
    path.write_bytes(file_of(GREY))
    with pytest.raises(ValueError, match=r"a.png: lies in no folder"):
        list(images.read("a.png", path, images.Shape(8, 1)))
    archive.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"b.npz: File is not a zip file"):
        list(images.read("b.npz", archive, images.Shape(8, 1)))
    np.savez(archive, images=np.stack([GREY, GREY]), labels=np.array([1]))
    with pytest.raises(ValueError, match=r"images \(2, 8, 8\) and labels \(1,\) do not go together"):
        list(images.read("b.npz", archive, images.Shape(8, 1)))
    np.savez(archive, images=np.array([{}], dtype=object), labels=np.array([1]))
    with pytest.raises(ValueError, match=r"allow_pickle"):
        list(images.read("b.npz", archive, images.Shape(8, 1)))
    np.savez(archive, labels=np.array([1]))
    with pytest.raises(ValueError, match=r"b.npz: 'images"):
        list(images.read("b.npz", archive, images.Shape(8, 1)))
