import math

import metrics
import numpy as np
import pytest
import torch
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


def test_several_classes_are_measured_against_the_rest():
    scores = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 1.0, 4.0], [0.5, 0.2, 0.1]])
    labels = np.array([0.0, 1.0, 2.0, 1.0])
    assert metrics.macro_accuracy(scores, labels) == 0.75
    each = [roc_auc_score(labels == index, scores[:, index]) for index in range(3)]
    assert metrics.macro_auc(scores, labels) == pytest.approx(sum(each) / 3)
    assert metrics.macro_auc(scores[:1], labels[:1]) == 0.5  # one class: nothing to order
    assert metrics.cross_entropy(scores, labels) == pytest.approx(
        float(torch.nn.functional.cross_entropy(torch.tensor(scores), torch.tensor(labels).long()))
    )
    assert np.isnan(metrics.macro_accuracy(np.full((1, 3), np.nan), labels[:1]))
    assert np.isnan(metrics.macro_auc(np.full((2, 3), np.nan), labels[:2]))


def test_numbers_are_measured_in_their_unit():
    predicted, truth = np.array([1.0, 2.0, 6.0]), np.array([1.0, 2.0, 3.0])
    assert metrics.rmse(predicted, truth) == pytest.approx(3**0.5)
    assert metrics.mae(predicted, truth) == 1.0
    assert metrics.r2(predicted, truth) == pytest.approx(1 - 9 / 2)
    assert metrics.r2(truth, truth) == 1.0
    assert metrics.r2(predicted[:1], truth[:1]) == 0.0
    assert np.isnan(metrics.r2(np.array([np.nan]), truth[:1]))
