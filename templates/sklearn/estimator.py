"""The estimator: the one place to change for another model of scikit-learn.

One with `partial_fit` learns in passes and goes on from an earlier version. Any other, say a random forest, is
trained afresh each time, on all data of the commit. A classifier needs `predict_proba`.
"""

from __future__ import annotations

from typing import Any

from sklearn.neural_network import MLPClassifier, MLPRegressor


def make_estimator(task: str) -> Any:
    """A new estimator for `task`: binary, multiclass or regression. Features and the regression's target are scaled."""
    kind = MLPRegressor if task == "regression" else MLPClassifier
    return kind(hidden_layer_sizes=(32,), learning_rate_init=0.005, random_state=0)
