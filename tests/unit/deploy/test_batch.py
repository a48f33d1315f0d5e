"""Inputs of several requests as one, and outputs as many again."""

import numpy as np
import pandas as pd
import pytest
import torch
from batch import joined, split


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_arrays_and_tensors_with_an_entry_per_row_are_joined_and_split(kind):
    first, second = kind([[1.0, 2.0]]), kind([[3.0, 4.0], [5.0, 6.0]])
    together = joined([first, second], [1, 2])
    assert type(together) is type(first)
    assert together.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert [part.tolist() for part in split(together, [1, 2])] == [[[1, 2]], [[3, 4], [5, 6]]]


def test_requests_without_rows_take_no_part():
    together = joined([np.array([1]), None, np.array([2, 3])], [1, 0, 2])
    assert together.tolist() == [1, 2, 3]
    assert [list(part) for part in split([10, 20, 30], [1, 0, 2])] == [[10], [], [20, 30]]


APART = {
    "one": ([np.ones((2, 2))], [2]),
    "lists": ([[1], [2]], [1, 1]),
    "frames": ([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})], [1, 1]),
    "two kinds": ([np.ones((1, 2)), torch.ones(1, 2)], [1, 1]),
    "two types": ([np.ones((1, 2)), np.ones((1, 2), dtype=np.float32)], [1, 1]),
    "two shapes": ([np.ones((1, 2)), np.ones((1, 3))], [1, 1]),
    "not one per row": ([np.ones((1, 2)), np.ones((1, 2))], [1, 3]),
    "no rows at all": ([np.float64(1), np.float64(2)], [1, 1]),
}


@pytest.mark.parametrize(("inputs", "rows"), APART.values(), ids=APART)
def test_what_cannot_be_joined_is_predicted_apart(inputs, rows):
    assert joined(inputs, rows) is None


@pytest.mark.parametrize("outputs", [None, 3, "abc", {"a": 1}, [1, 2], np.float64(1), np.ones(4), iter([1, 2, 3])])
def test_outputs_that_cannot_be_told_apart(outputs):
    assert split(outputs, [1, 2]) is None
