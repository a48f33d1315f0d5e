"""The served model: rows in, predictions out, through the preprocessing it was trained with.

Every checkpoint holds this file under ``serving/`` with ``features.py``, ``feature_spec.py``, ``network.py``, the
fitted ``feature_spec.json``, ``model_config.json``, the weights and the signature: nothing else is needed to answer.
Runs on the Python of the serving image (3.9 and newer), with numpy and torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import features
import numpy as np
import torch
from feature_spec import FeatureSpec
from network import build_model

Array = np.ndarray[Any, Any]


class Model:
    """Answers [class] or [number]; where a row's parameters ask for probabilities, [class, probabilities].

    The probability of a binary label is that of class 1, of several classes it is one each, in the signature's order.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder

    def load(self) -> None:
        """Read the fitted preprocessing and the weights."""
        self.spec = FeatureSpec.from_json((self.folder / "feature_spec.json").read_text(encoding="utf-8"))
        config = json.loads((self.folder / "model_config.json").read_text(encoding="utf-8"))
        self.network = build_model(self.spec.n_features, config["hparams"], self.spec.n_outputs)
        self.network.load_state_dict(torch.load(self.folder / "weights.pt", map_location="cpu", weights_only=True))
        self.network.eval()

    def preprocess(self, inputs: Sequence[Mapping[str, Any]]) -> Array:
        """Encode rows by column name: float32, (rows, features). Raises features.RowError."""
        return self.preprocess_columns(features.rows_to_columns(inputs, self.spec))

    def preprocess_columns(self, columns: Mapping[str, Sequence[Any]]) -> Array:
        """Encode columns, in any order: float32, (rows, features). Raises features.RowError."""
        return features.encode(columns, self.spec)

    def predict(self, inputs: Array) -> Array:
        """Give the probability of class 1, of each class, or the number: float64, (rows,) or (rows, classes)."""
        with torch.inference_mode():
            outputs = self.network(torch.from_numpy(inputs)).double()
            if self.spec.task == "multiclass":
                answer: Array = torch.softmax(outputs, dim=1).numpy()
            elif self.spec.target is not None:
                answer = outputs.reshape(len(inputs)).numpy() * self.spec.target.std + self.spec.target.mean
            else:
                answer = torch.sigmoid(outputs.reshape(len(inputs))).numpy()
            return answer

    def postprocess(self, outputs: Array, parameters: Sequence[Mapping[str, Any]] | None = None) -> list[list[Any]]:
        """Turn outputs into predictions; `parameters` has one entry per row, or is None."""
        if not np.isfinite(outputs).all():
            row = int(np.argwhere(~np.isfinite(outputs))[0][0])
            raise ArithmeticError(f"row {row}: the model gave no finite number for these values")
        numbers = outputs.tolist()
        if self.spec.target is not None:
            return [[number] for number in numbers]
        chosen = outputs.argmax(axis=1) if self.spec.task == "multiclass" else outputs >= self.spec.threshold
        classes = [self.spec.classes[index] for index in chosen.astype(int).tolist()]
        if parameters is None:
            return [[label] for label in classes]
        return [
            [label, number] if wanted.get("probabilities") else [label]
            for label, number, wanted in zip(classes, numbers, parameters)  # noqa: B905 - Python 3.9
        ]
