"""Validation metrics on arrays. Called by ``ChurnTrial``."""

from __future__ import annotations

from typing import Any

import numpy as np


def auc(scores: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    """Area under the ROC curve: the chance that a churner scores above a stayer, ties counting half.

    ``scores`` and ``labels`` (0 or 1) have shape (rows,). With only one kind of label there is nothing to order,
    and the answer is 0.5. A score that is no number makes the answer none: a training that diverged must not look
    like one that learned nothing.
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


def accuracy(scores: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    """Share of rows a logit above 0 gets right."""
    return float(((scores > 0) == (labels == 1)).mean())


def log_loss(scores: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    """Mean binary cross-entropy of logits."""
    return float((np.logaddexp(0.0, scores) - scores * labels).mean())
