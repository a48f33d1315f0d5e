import batches
import numpy as np
import pytest
import torch
from table import Table


def table_of(rows, seed=0):
    rng = np.random.default_rng(seed)
    return Table(
        {
            "x": rng.standard_normal(rows),
            "plan": [("basic", "gold", None)[i] for i in rng.integers(0, 3, rows)],
            "churn": rng.integers(0, 2, rows).astype(float),
        },
        rows,
    )


def sub_table(table, order):
    columns = {
        name: column[order] if isinstance(column, np.ndarray) else [column[i] for i in order]
        for name, column in table.columns.items()
    }
    return Table(columns, len(order))


def test_the_share_held_out_is_the_one_asked_for():
    for fraction in (0.05, 0.2, 0.5):
        held_out = batches.validation_rows(table_of(20_000), "churn", fraction)
        assert held_out.mean() == pytest.approx(fraction, abs=0.01)


def test_a_row_stays_on_its_side_wherever_it_comes():
    table = table_of(500)
    held_out = batches.validation_rows(table, "churn", 0.2)
    order = np.random.default_rng(1).permutation(500)[:300]
    again = batches.validation_rows(sub_table(table, order), "churn", 0.2)
    assert (again == held_out[order]).all()


def test_the_label_does_not_decide_the_side():
    table = table_of(500)
    flipped = Table({**table.columns, "churn": 1 - table.columns["churn"]}, 500)
    assert (batches.validation_rows(table, "churn", 0.2) == batches.validation_rows(flipped, "churn", 0.2)).all()


@pytest.mark.parametrize("seed", range(5))
def test_both_sides_have_a_row_however_few_there_are(seed):
    for fraction in (0.001, 0.999):
        held_out = batches.validation_rows(table_of(2, seed), "churn", fraction)
        assert held_out.sum() == 1


def test_one_row_cannot_be_split():
    with pytest.raises(ValueError, match="at least 2 are needed"):
        batches.validation_rows(table_of(1), "churn", 0.2)


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
