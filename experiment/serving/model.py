"""The served model: rows in, predictions out, through the preprocessing it was trained with.

Every checkpoint holds this file under ``serving/`` with ``features.py``, ``network.py``, the fitted
``feature_spec.json``, ``model_config.json``, the weights and the signature: nothing else is needed to answer. Runs on
the Python of the serving image (3.9 and newer), with numpy and torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import features
import numpy as np
import torch
from network import build_model

DEFAULT_THRESHOLD = 0.5


class Model:
    """Answers [class], or [class, probability of class 1] where a row's parameters ask for probabilities."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.threshold = float(config.get("threshold", DEFAULT_THRESHOLD))

    def load(self) -> None:
        """Read the fitted preprocessing and the weights."""
        self.spec = features.FeatureSpec.from_json((self.folder / "feature_spec.json").read_text(encoding="utf-8"))
        config = json.loads((self.folder / "model_config.json").read_text(encoding="utf-8"))
        self.network = build_model(config["n_features"], config["hparams"])
        self.network.load_state_dict(torch.load(self.folder / "weights.pt", map_location="cpu", weights_only=True))
        self.network.eval()

    def preprocess(self, inputs: Sequence[Mapping[str, Any]]) -> np.ndarray[Any, Any]:
        """Encode rows by column name: float32, (rows, features). Raises features.RowError."""
        return self.preprocess_columns(features.rows_to_columns(inputs, self.spec))

    def preprocess_columns(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray[Any, Any]:
        """Encode columns, in any order: float32, (rows, features). Raises features.RowError."""
        return features.encode(columns, self.spec)

    def predict(self, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give the probability of class 1 of each row: float64, (rows,)."""
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(inputs))
            probabilities: np.ndarray[Any, Any] = torch.sigmoid(logits.reshape(len(inputs)).double()).numpy()
            return probabilities

    def postprocess(
        self, outputs: np.ndarray[Any, Any], parameters: Sequence[Mapping[str, Any]] | None = None
    ) -> list[list[Any]]:
        """Turn probabilities into predictions; `parameters` has one entry per row, or is None."""
        if not np.isfinite(outputs).all():
            row = int(np.flatnonzero(~np.isfinite(outputs))[0])
            raise ArithmeticError(f"row {row}: the model gave no finite number for these values")
        classes = (outputs >= self.threshold).astype(int).tolist()
        if parameters is None:
            return [[label] for label in classes]
        return [
            [label, number] if wanted.get("probabilities") else [label]
            for label, number, wanted in zip(classes, outputs.tolist(), parameters)  # noqa: B905 - Python 3.9
        ]
