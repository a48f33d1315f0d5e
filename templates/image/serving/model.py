"""The served model: image files in, classes out. Python 3.9 and newer, numpy, torch, Pillow.

The checkpoint holds beside it `images.py` and `network.py` as they were trained, `model.json`, the weights (tensors
only) and the signature.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import images
import numpy as np
import torch
from network import build_network


class RowError(ValueError):
    """One image of a request is at fault."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")
        self.row, self.column, self.reason = row, None, reason


class Model:
    """Answers [class, its probability] for each image."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder

    def load(self) -> None:
        """Read classes and weights."""
        facts = json.loads((self.folder / "model.json").read_text(encoding="utf-8"))
        self.classes: list[str] = facts["classes"]
        hparams = facts["hparams"]
        self.shape = images.Shape(int(hparams["image_size"]), int(hparams["channels"]))
        self.network = build_network(len(self.classes), hparams)
        self.network.load_state_dict(torch.load(self.folder / "weights.pt", map_location="cpu", weights_only=True))
        self.network.eval()

    def preprocess(self, inputs: Sequence[bytes]) -> np.ndarray[Any, Any]:
        """Image files as float32, (rows, channels, size, size). Raises RowError for what is no image."""
        return np.stack([self._decode(row, content) for row, content in enumerate(inputs)])

    def predict(self, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The probability of each class: float64, (rows, classes)."""
        with torch.inference_mode():
            probabilities: np.ndarray[Any, Any] = self.network(torch.from_numpy(inputs)).double().softmax(1).numpy()
            return probabilities

    def postprocess(self, outputs: np.ndarray[Any, Any]) -> list[list[Any]]:
        """The likeliest class of each row, with its probability."""
        best = outputs.argmax(axis=1)
        return [[self.classes[index], float(row[index])] for row, index in zip(outputs, best)]  # noqa: B905 - Python 3.9

    def _decode(self, row: int, content: bytes) -> np.ndarray[Any, Any]:
        if not isinstance(content, bytes):
            raise RowError(row, 'an image file is needed: {"b64": "..."}, or a part of a multipart form')
        try:
            return images.decode(content, self.shape)
        except ValueError as error:
            raise RowError(row, str(error)) from error
