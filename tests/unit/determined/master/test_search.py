"""Searchers: reproducible draws, the order of the grid, how many trials."""

import itertools

import numpy as np
import pytest

from pdk.determined.errors import InvalidConfig
from pdk.determined.master import search
from pdk.determined.master.randomness import LegacyRandom


def config(name="single", seed=1, hyperparameters=None, **searcher):
    return {
        "searcher": {"name": name, "metric": "loss", **searcher},
        "reproducibility": {"experiment_seed": seed},
        "hyperparameters": hyperparameters or {},
    }


LR = {"lr": {"type": "log", "base": 10, "minval": -3, "maxval": -1, "count": 3}}


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**32 - 1])
def test_the_generator_is_numpys(seed):
    ours, numpys = LegacyRandom(seed), np.random.RandomState(seed)
    for i in range(100):
        assert ours.uniform(-2, 5) == numpys.uniform(-2, 5)
        assert ours.integer(7 * i + 2) == numpys.randint(7 * i + 2)
        assert ours.bytes(16) == numpys.bytes(16)
        assert ours.integer(2**31) == numpys.randint(2**31)


def test_single_is_one_trial_and_the_same_for_the_same_seed():
    first, again, other = (list(search.creates(config(seed=seed))) for seed in (5, 5, 6))
    assert len(first) == 1
    assert first == again
    assert first != other


def test_random_goes_on_where_it_was():
    random = config("random", hyperparameters=LR, max_trials=4, max_concurrent_trials=0)
    sequence = list(itertools.islice(search.creates(random), 4))
    assert [search.nth(random, i) for i in range(4)] == sequence
    assert len({create.request_id for create in sequence}) == 4
    assert (search.total(random), search.concurrent(random)) == (4, 4)


def test_draws_stay_in_their_ranges():
    hyperparameters = {
        "a": {"type": "int", "minval": 2, "maxval": 4},
        "b": {"c": {"type": "double", "minval": -1, "maxval": 1}},
        "d": {"type": "categorical", "vals": ["x", "y"]},
        "e": {"type": "const", "val": [1]},
        "f": {"type": "int", "minval": 3, "maxval": 3},
    }
    drawn = [search.sample(hyperparameters, LegacyRandom(seed)) for seed in range(50)]
    assert {each["a"] for each in drawn} == {2, 3}
    assert all(-1 <= each["b"]["c"] < 1 for each in drawn)
    assert {each["d"] for each in drawn} == {"x", "y"}
    assert all((each["e"], each["f"]) == ([1], 3) for each in drawn)


def test_the_grid_is_handed_out_from_its_end():
    hyperparameters = {
        "b": {"type": "int", "minval": 1, "maxval": 2, "count": 5},
        "a": {"type": "categorical", "vals": ["x", "y"]},
    }
    points = search.grid(hyperparameters)
    assert points == [{"a": a, "b": b} for a, b in (("y", 2), ("y", 1), ("x", 2), ("x", 1))]
    assert search.total(config("grid", hyperparameters=hyperparameters)) == 4


def test_axes():
    assert search.axis({"type": "int", "minval": 0, "maxval": 10, "count": 3}) == [0, 5, 10]
    assert search.axis({"type": "int", "minval": 1, "maxval": 2, "count": 1}) == [2]
    assert search.axis({"type": "double", "minval": 0, "maxval": 1, "count": 3}) == [0, 0.5, 1]
    assert search.axis(LR["lr"]) == [0.001, 0.01, 0.1]


def test_a_grid_that_is_too_large_is_refused():
    hyperparameters = {f"h{i}": {"type": "double", "minval": 0, "maxval": 1, "count": 1000} for i in range(9)}
    with pytest.raises(InvalidConfig, match="more than 10000 points"):
        search.total(config("grid", hyperparameters=hyperparameters))
