import pytest
import torch
from network import build_model

HPARAMS = {"hidden_size": 16, "layers": 2, "dropout": 0.5, "learning_rate": 1}


def test_one_logit_per_row():
    model = build_model(7, HPARAMS)
    assert model(torch.zeros(3, 7)).shape == (3, 1)
    assert model(torch.zeros(0, 7)).shape == (0, 1)
    assert [tuple(p.shape) for p in model.parameters()][::2] == [(16, 7), (8, 16), (1, 8)]


def test_without_hidden_layers_it_is_still_a_model():
    assert build_model(7, {**HPARAMS, "layers": 0})(torch.ones(2, 7)).shape == (2, 1)


@pytest.mark.parametrize("extreme", [3e38, -3e38])
def test_no_input_makes_it_answer_nan(extreme):
    model = build_model(4, HPARAMS).eval()
    assert torch.isfinite(model(torch.full((1, 4), extreme))).all()


def test_the_same_seed_builds_the_same_network():
    torch.manual_seed(1)
    first = build_model(4, HPARAMS)
    torch.manual_seed(1)
    second = build_model(4, HPARAMS)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
