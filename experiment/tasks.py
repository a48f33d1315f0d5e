"""What differs between binary, multiclass and regression in training: targets, loss, metrics.

The searcher metric of the config is ``val_auc`` for classes (it needs no threshold and is not moved by how many rows of
each class a commit has) and ``val_rmse`` for a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import metrics
import numpy as np
import torch
from feature_spec import FeatureSpec

Array = np.ndarray[Any, Any]


def targets(labels: Array, spec: FeatureSpec) -> torch.Tensor:
    """What the loss compares with: float32 classes 0 and 1, int64 classes, or float32 scaled numbers; shape (rows,)."""
    if spec.task == "multiclass":
        return torch.from_numpy(labels.astype(np.int64))
    if spec.target is not None:
        labels = (labels - spec.target.mean) / spec.target.std
    return torch.from_numpy(labels.astype(np.float32))


def loss(spec: FeatureSpec) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The loss of the network's output (rows, outputs) and the targets (rows,)."""
    if spec.task == "multiclass":
        return torch.nn.CrossEntropyLoss()
    plain = torch.nn.BCEWithLogitsLoss() if spec.task == "binary" else torch.nn.MSELoss()
    return lambda outputs, wanted: plain(outputs.squeeze(1), wanted)


def evaluate(outputs: Array, wanted: Array, spec: FeatureSpec) -> dict[str, float]:
    """Metrics of the network's output, float64 (rows, outputs), over all held-out rows."""
    if spec.task == "multiclass":
        return {
            "val_loss": metrics.cross_entropy(outputs, wanted),
            "val_acc": metrics.macro_accuracy(outputs, wanted),
            "val_auc": metrics.macro_auc(outputs, wanted),
        }
    scores = outputs[:, 0]
    if spec.target is None:
        return {
            "val_loss": metrics.log_loss(scores, wanted),
            "val_acc": metrics.accuracy(scores, wanted),
            "val_auc": metrics.auc(scores, wanted),
        }
    predicted, truth = (values * spec.target.std + spec.target.mean for values in (scores, wanted))
    return {
        "val_loss": float(((scores - wanted) ** 2).mean()),
        "val_rmse": metrics.rmse(predicted, truth),
        "val_mae": metrics.mae(predicted, truth),
        "val_r2": metrics.r2(predicted, truth),
    }
