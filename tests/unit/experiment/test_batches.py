import batches
import numpy as np
import pytest
import torch


def rows_of(count):
    return batches.Rows(np.arange(count * 2, dtype=np.float32).reshape(count, 2), torch.arange(count).float())


def test_a_loader_gives_every_row_once_an_epoch_and_shuffles_by_its_seed():
    def epoch(seed):
        return [labels.tolist() for _, labels in batches.loader(rows_of(10), 4, seed).get_data_loader()]

    first = epoch(1)
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(row for batch in first for row in batch) == list(range(10))
    assert first == epoch(1)
    assert first != epoch(2)
    assert epoch(None) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_batch_is_sliced_at_once(monkeypatch):
    monkeypatch.setattr(batches.Rows, "__getitem__", lambda *_: pytest.fail("fetched row by row"))
    for features, labels in batches.loader(rows_of(6), 3).get_data_loader():
        assert features.shape == (3, 2)
        assert features.dtype == labels.dtype == torch.float32
        assert (features[:, 0] == 2 * labels).all()


def test_a_loader_goes_on_where_a_trial_resumes():
    whole = iter(batches.loader(rows_of(10), 4, 7).get_data_loader(repeat=True))
    expected = [next(whole)[1].tolist() for _ in range(6)]
    resumed = iter(batches.loader(rows_of(10), 4, 7).get_data_loader(repeat=True, skip=4))
    assert [next(resumed)[1].tolist() for _ in range(2)] == expected[4:]
