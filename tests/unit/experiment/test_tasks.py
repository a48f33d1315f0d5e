"""Tasks other than yes or no, trained by Determined's own trainer, and answered by what the checkpoint serves."""

import random

import model_def
import pytest
import serving_folder
import v1_request
from trials import as_another_trials, assert_refused

FLOWERS = {
    "version": 1, "files": ["*.csv"], "extra_columns": "ignore", "unknown_categories": "reject", "task": "multiclass",
    "columns": [
        {"name": "length", "kind": "numeric", "dtype": "float"},
        {"name": "side", "kind": "categorical", "categories": ["north", "south"]},
        {"name": "kind", "kind": "label", "values": ["oak", "birch", "pine"]},
    ],
}  # fmt: skip
RENTS = {
    **FLOWERS, "task": "regression",
    "columns": [*FLOWERS["columns"][:2], {"name": "rent", "kind": "label", "dtype": "float"}],
}  # fmt: skip


def write_table(path, label, rows=600):
    draw = random.Random(4)
    lines = [f"length,side,{label}"]
    for _ in range(rows):
        kind = draw.randrange(3)
        value = ("oak", "birch", "pine")[kind] if label == "kind" else 1000 + 200 * kind + draw.gauss(0, 5)
        lines.append(f"{kind + draw.gauss(0, 0.1):.3f},{draw.choice(['north', 'south'])},{value}")
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("contract", "metric", "good"),
    [(FLOWERS, "val_auc", lambda value: value > 0.95), (RENTS, "val_rmse", lambda value: value < 60)],
    ids=["multiclass", "regression"],
)
def test_other_tasks_are_trained_warm_started_and_served(run_trial, tmp_path, monkeypatch, contract, metric, good):
    monkeypatch.setattr(model_def.contracts, "load", lambda: contract)
    monkeypatch.setattr(model_def.checkpoints, "load", lambda: contract)
    label = contract["columns"][-1]["name"]
    path = write_table(tmp_path / "table.csv", label)
    hparams = {"global_batch_size": 64}
    _, folder, scores = run_trial([path], batches=200, hparams=hparams)
    assert good(scores[200][metric]), scores
    _, _, warm = run_trial([path], batches=100, start=as_another_trials(folder), hparams=hparams)
    assert good(warm[100][metric])

    served = serving_folder.load(folder / "serving")
    try:
        rows = [{"length": value, "side": "north"} for value in (0.0, 1.0, 2.0)]
        body = {"instances": rows, "parameters": {"probabilities": True} if label == "kind" else {}}
        answer = served.answer(v1_request.parse_body(body, served.signature.shape(10)))
    finally:
        served.unload()
    if label == "kind":
        assert [prediction[0] for prediction in answer] == ["oak", "birch", "pine"]
        assert [sum(prediction[1]) for prediction in answer] == pytest.approx([1, 1, 1])
    else:
        assert [prediction[0] for prediction in answer] == pytest.approx([1000, 1200, 1400], abs=100)


def test_a_label_of_one_class_teaches_nothing(run_trial, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(model_def.contracts, "load", lambda: FLOWERS)
    path = tmp_path / "table.csv"
    path.write_text("length,side,kind\n" + "1,north,oak\n" * 20)
    reason = "column 'kind': every row has the label 'oak': there is nothing to learn"
    assert_refused(lambda: run_trial([path], batches=2), reason, caplog)


def test_weights_of_another_task_are_refused(run_trial, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(model_def.contracts, "load", lambda: FLOWERS)
    monkeypatch.setattr(model_def.checkpoints, "load", lambda: FLOWERS)
    path = write_table(tmp_path / "table.csv", "kind")
    _, folder, _ = run_trial([path], batches=2)
    uuid = as_another_trials(folder)
    fewer = {**FLOWERS["columns"][-1], "values": ["pine", "oak", "birch"]}
    monkeypatch.setattr(model_def.contracts, "load", lambda: {**FLOWERS, "columns": [*FLOWERS["columns"][:2], fewer]})
    assert_refused(
        lambda: run_trial([path], batches=2, start=uuid),
        r"was trained for multiclass \['oak', 'birch', 'pine'\]",
        caplog,
    )
