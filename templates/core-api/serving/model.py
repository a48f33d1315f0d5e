"""The served model: the class whose mean row is nearest. Python 3.9 and newer, numpy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


class Model:
    """Answers the class of each row."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder

    def load(self) -> None:
        """Read what was learned."""
        state = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        self.columns: list[str] = state["columns"]
        self.classes = [*state["sums"]]
        self.means = np.array([np.divide(total, state["counts"][label]) for label, total in state["sums"].items()])

    def preprocess(self, inputs: Sequence[Mapping[str, Any]]) -> np.ndarray[Any, Any]:
        """Rows as numbers: float64, (rows, columns). A ValueError here is the client's error, with its text."""
        return np.array([[_number(row, name, place) for name in self.columns] for place, row in enumerate(inputs)])

    def predict(self, inputs: np.ndarray[Any, Any]) -> list[str]:
        """The nearest class of each row."""
        distances = np.square(inputs[:, None] - self.means).sum(axis=2)
        return [self.classes[index] for index in distances.argmin(axis=1)]


def _number(row: Mapping[str, Any], name: str, place: int) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise ValueError(f"row {place}, column {name!r}: a finite number is needed, not {value!r}")
    return float(value)
