import numpy as np
import pytest
from holdout import validation_rows
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
        held_out = validation_rows(table_of(20_000), "churn", fraction)
        assert held_out.mean() == pytest.approx(fraction, abs=0.01)


def test_a_row_stays_on_its_side_wherever_it_comes():
    table = table_of(500)
    held_out = validation_rows(table, "churn", 0.2)
    order = np.random.default_rng(1).permutation(500)[:300]
    again = validation_rows(sub_table(table, order), "churn", 0.2)
    assert (again == held_out[order]).all()


def test_the_label_does_not_decide_the_side():
    table = table_of(500)
    flipped = Table({**table.columns, "churn": 1 - table.columns["churn"]}, 500)
    assert (validation_rows(table, "churn", 0.2) == validation_rows(flipped, "churn", 0.2)).all()


@pytest.mark.parametrize("seed", range(5))
def test_both_sides_have_a_row_however_few_there_are(seed):
    for fraction in (0.001, 0.999):
        held_out = validation_rows(table_of(2, seed), "churn", fraction)
        assert held_out.sum() == 1


def test_one_row_cannot_be_split():
    with pytest.raises(ValueError, match="at least 2 are needed"):
        validation_rows(table_of(1), "churn", 0.2)
