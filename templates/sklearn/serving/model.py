"""The served model: rows of a table in, predictions of a scikit-learn estimator out. Python 3.9 and newer.

The checkpoint holds beside it `features.py`, `feature_spec.py`, the fitted `feature_spec.json`, the estimator and
the signature. The estimator is a pickle (joblib) that this model's own training wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import features
import joblib
import numpy as np
from feature_spec import FeatureSpec


class Model:
    """Answers [class] or [number]; asked for probabilities, [class, that of class 1, or of each class]."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder

    def load(self) -> None:
        """Read preprocessing and estimator."""
        self.spec = FeatureSpec.from_json((self.folder / "feature_spec.json").read_text(encoding="utf-8"))
        self.estimator = joblib.load(self.folder / "estimator.joblib")

    def preprocess(self, inputs: Sequence[Mapping[str, Any]]) -> np.ndarray[Any, Any]:
        """Encode rows by column name: float32, (rows, features). Raises features.RowError."""
        return self.preprocess_columns(features.rows_to_columns(inputs, self.spec))

    def preprocess_columns(self, columns: Mapping[str, Sequence[Any]]) -> np.ndarray[Any, Any]:
        """Encode columns, in any order: float32, (rows, features). Raises features.RowError."""
        return features.encode(columns, self.spec)

    def predict(self, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give the probability of each class, (rows, classes), or the number, (rows,)."""
        if self.spec.target is not None:
            return np.asarray(self.estimator.predict(inputs) * self.spec.target.std + self.spec.target.mean)
        probabilities = np.zeros((len(inputs), len(self.spec.classes)))
        # An estimator that saw too few rows knows some of the classes only.
        probabilities[:, self.estimator.classes_] = self.estimator.predict_proba(inputs)
        return probabilities

    def postprocess(
        self, outputs: np.ndarray[Any, Any], parameters: Sequence[Mapping[str, Any]] | None = None
    ) -> list[list[Any]]:
        """Turn them into predictions; `parameters` has one entry per row, or is None."""
        if self.spec.target is not None:
            return [[number] for number in outputs.tolist()]
        several = self.spec.task == "multiclass"
        chosen = outputs.argmax(axis=1) if several else (outputs[:, 1] >= self.spec.threshold).astype(int)
        answers: list[list[Any]] = [[self.spec.classes[index]] for index in chosen]
        for place, wanted in enumerate(parameters or ()):
            if wanted.get("probabilities"):
                answers[place].append(outputs[place].tolist() if several else float(outputs[place, 1]))
        return answers
