import math

import metrics
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

RNG = np.random.default_rng(3)
LABELS = (RNG.random(500) < 0.3).astype(float)
SCORES = LABELS + RNG.standard_normal(500)


@pytest.mark.parametrize("scores", [SCORES, np.round(SCORES), np.zeros(500)], ids=["distinct", "ties", "all tied"])
def test_metrics_are_those_of_scikit_learn(scores):
    probabilities = 1 / (1 + np.exp(-scores))
    assert metrics.auc(scores, LABELS) == pytest.approx(roc_auc_score(LABELS, scores))
    assert metrics.accuracy(scores, LABELS) == pytest.approx(accuracy_score(LABELS, probabilities > 0.5))
    assert metrics.log_loss(scores, LABELS) == pytest.approx(log_loss(LABELS, probabilities))


def test_one_kind_of_label_has_no_order():
    assert metrics.auc(np.array([1.0, 2.0]), np.array([1.0, 1.0])) == 0.5


def test_huge_logits_do_not_overflow():
    assert metrics.log_loss(np.array([1e5, -1e5]), np.array([1.0, 0.0])) == 0.0


def test_a_score_that_is_no_number_makes_the_auc_none():
    assert math.isnan(metrics.auc(np.array([0.1, math.nan, 0.3]), np.array([0.0, 1.0, 1.0])))
