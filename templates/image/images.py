"""Image files as numbers: one way for training and for serving, copied into the checkpoint. Python 3.9 and newer.

PNG, JPEG and whatever else Pillow reads; `.npz` archives of many images for training. Values are 0 to 1.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

# A file of few bytes may hold an image of many pixels.
MAX_PIXELS = 50_000_000
MAX_ARCHIVE_BYTES = 2 << 30


class Shape(NamedTuple):
    """What images are brought to: `size` pixels high and wide, 1 channel (grey) or 3 (colour)."""

    size: int
    channels: int


def decode(content: bytes, shape: Shape) -> np.ndarray[Any, Any]:
    """One image file as float32 of shape (channels, size, size). Raises ValueError saying why it is none."""
    image_module = _pillow()
    try:
        with image_module.open(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}")
            return _array(image, shape)
    except image_module.UnidentifiedImageError:
        raise ValueError(f"{len(content)} bytes that begin with {content[:8]!r} are no image") from None
    except (OSError, SyntaxError, image_module.DecompressionBombError) as error:  # Pillow's words for a broken file
        raise ValueError(f"the image is broken: {error}") from error


def to_png(pixels: np.ndarray[Any, Any]) -> bytes:
    """The file of one image, from what `decode` gives."""
    values = np.rint(pixels * 255).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    _pillow().fromarray(values[..., 0] if values.shape[2] == 1 else values).save(file, "PNG")
    return file.getvalue()


def read(name: str, path: Path, shape: Shape) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """(class, image) of a data file: `CLASS/anything.png`, or an `.npz` with arrays `images` and `labels`.

    `images` are (n, height, width) or (n, height, width, 3), 0 to 255; `labels` are n texts or integers. Raises
    ValueError naming the file.
    """
    try:
        if path.suffix == ".npz":
            yield from _read_archive(path, shape)
        else:
            yield _class_of(name), decode(path.read_bytes(), shape)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name}: {error}") from error


def _class_of(name: str) -> str:
    folder = PurePosixPath(name).parent.name
    if not folder:
        raise ValueError("lies in no folder: put it into one that is called like its class")
    return folder


def _read_archive(path: Path, shape: Shape) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_ARCHIVE_BYTES:
        raise ValueError(f"{size} bytes unpacked are more than {MAX_ARCHIVE_BYTES}: split it")
    with np.load(path, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    if len(images) != len(labels) or images.ndim not in (3, 4) or labels.ndim != 1:
        raise ValueError(f"images {images.shape} and labels {labels.shape} do not go together")
    for image, label in zip(images.astype(np.uint8), labels.tolist()):  # noqa: B905 - Python 3.9
        yield str(label), _array(_pillow().fromarray(image), shape)


def _array(image: Any, shape: Shape) -> np.ndarray[Any, Any]:
    converted = image.convert("L" if shape.channels == 1 else "RGB").resize((shape.size, shape.size))
    pixels = np.asarray(converted, dtype=np.float32).reshape(shape.size, shape.size, shape.channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) / np.float32(255)


def _pillow() -> Any:
    try:
        from PIL import Image  # noqa: PLC0415 - said below where it is missing
    except ImportError:
        raise ImportError("reading images needs Pillow: pip install 'pdk[image]', or pip install pillow") from None
    return Image
