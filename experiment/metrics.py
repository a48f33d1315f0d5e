"""Validation metrics on arrays. Called by ``tasks.py``.

A score that is no number makes a metric none: a training that diverged must not look like one that learned nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def auc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve: the chance that a row of class 1 scores above one of class 0, ties counting half.

    ``scores`` and ``labels`` (0 or 1) have shape (rows,). With only one kind of label there is nothing to order,
    and the answer is 0.5.
    """
    if not np.isfinite(scores).all():
        return float("nan")
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return 0.5
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(sizes)
    mean_rank = (last_rank - (sizes - 1) / 2)[group]
    return float((mean_rank[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def macro_auc(scores: Array, labels: Array) -> float:
    """Mean over the classes that occur of the AUC of each against the rest; ``scores`` (rows, classes)."""
    occurring = np.unique(labels).astype(int)
    return float(np.mean([auc(scores[:, index], labels == index) for index in occurring]))


def accuracy(scores: Array, labels: Array) -> float:
    """Share of rows a logit above 0 gets right."""
    return float(((scores > 0) == (labels == 1)).mean())


def macro_accuracy(scores: Array, labels: Array) -> float:
    """Share of rows whose highest score is their class's; ``scores`` (rows, classes)."""
    return float((scores.argmax(axis=1) == labels).mean()) if np.isfinite(scores).all() else float("nan")


def log_loss(scores: Array, labels: Array) -> float:
    """Mean binary cross-entropy of logits."""
    return float((np.logaddexp(0.0, scores) - scores * labels).mean())


def cross_entropy(scores: Array, labels: Array) -> float:
    """Mean cross-entropy of logits (rows, classes)."""
    highest = scores.max(axis=1, keepdims=True)
    normalised = np.log(np.exp(scores - highest).sum(axis=1)) + highest[:, 0]
    return float((normalised - scores[np.arange(len(labels)), labels.astype(int)]).mean())


def rmse(predicted: Array, truth: Array) -> float:
    """Root of the mean squared error, in the unit of the label."""
    return float(np.sqrt(((predicted - truth) ** 2).mean()))


def mae(predicted: Array, truth: Array) -> float:
    """Mean absolute error, in the unit of the label."""
    return float(np.abs(predicted - truth).mean())


def r2(predicted: Array, truth: Array) -> float:
    """Share of the label's variance that is explained; 0 where the label does not vary."""
    total = float(((truth - truth.mean()) ** 2).sum())
    residual = float(((predicted - truth) ** 2).sum())
    return 1.0 - residual / total if total > 0 else 0.0 * residual
