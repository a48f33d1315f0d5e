"""A real trial, run by Determined's own trainer in its local mode: no master, no cluster."""

import json
import logging
import re
from pathlib import Path

import features
import generate
import model_def
import pytest
import yaml
from trials import as_another_trials, assert_refused

CONFIG = yaml.safe_load((Path(model_def.__file__).parent / "const.yaml").read_text())
BATCHES = 300


@pytest.fixture(scope="module")
def csvs(tmp_path_factory):
    return generate.generate(tmp_path_factory.mktemp("data"), rows=16_000)


def test_a_first_training_and_a_warm_start(csvs, run_trial, caplog):
    caplog.set_level(logging.INFO)
    first, folder, scores = run_trial(csvs[:1])
    assert scores[BATCHES].keys() >= {"val_loss", "val_acc", "val_auc"}
    assert scores[BATCHES]["val_auc"] > 0.7
    assert scores[BATCHES]["val_acc"] > 0.64
    assert 0 < scores[BATCHES]["val_loss"] < 0.68
    assert "fitted the preprocessing to 16000 rows: 139 features" in caplog.text
    stored = features.FeatureSpec.from_json((folder / "serving" / "feature_spec.json").read_text())
    assert stored == first.spec
    assert json.loads((folder / "serving" / "model_config.json").read_text())["n_features"] == 139

    caplog.clear()
    uuid = as_another_trials(folder)
    second, second_folder, warm = run_trial(csvs[1:], batches=100, start=uuid, hparams={"learning_rate": 0.0005})
    assert f"keeping the fit of checkpoint {uuid}" in caplog.text
    assert second.spec == stored
    assert features.FeatureSpec.from_json((second_folder / "serving" / "feature_spec.json").read_text()) == stored
    assert second._optimizer.param_groups[0]["lr"] < 0.0005  # not the rate of the optimizer state it restored
    _, _, cold = run_trial(csvs[1:], batches=100)
    assert warm[100]["val_auc"] > cold[100]["val_auc"] + 0.02

    caplog.clear()
    refitted, _, _ = run_trial(csvs[1:], batches=2, start=uuid, refit=True)
    assert "scales and categories are fitted anew" in caplog.text
    assert refitted.spec != stored
    assert refitted.spec.numeric["mou_Mean"].mean < stored.numeric["mou_Mean"].mean


def test_a_checkpoint_without_a_spec_is_refused(csvs, run_trial, caplog):
    _, folder, _ = run_trial(csvs[:1], batches=2)
    (folder / "serving" / "feature_spec.json").unlink()
    start = as_another_trials(folder)
    assert_refused(
        lambda: run_trial(csvs[:1], batches=2, start=start), r"holds no feature_spec\.json.* data\.refit: true", caplog
    )


def test_a_checkpoint_of_other_columns_is_refused(csvs, run_trial, caplog):
    trial, folder, _ = run_trial(csvs[:1], batches=2)
    document = json.loads(trial.spec.to_json())
    document["columns"].remove("months")
    del document["numeric"]["months"]
    (folder / "serving" / "feature_spec.json").write_text(json.dumps(document))
    start = as_another_trials(folder)
    assert_refused(
        lambda: run_trial(csvs[:1], batches=2, start=start), "the contract's columns differ .*: months", caplog
    )


@pytest.mark.parametrize("refit", [True, False])
def test_weights_of_another_width_are_refused(csvs, run_trial, caplog, refit):
    trial, folder, _ = run_trial(csvs[:1], batches=2)
    document = json.loads(trial.spec.to_json())
    document["categorical"]["area"].pop()
    (folder / "serving" / "feature_spec.json").write_text(json.dumps(document))
    start = as_another_trials(folder)
    reason = f"weights of checkpoint {start} take 138 features, and this data fits 139"
    assert_refused(lambda: run_trial(csvs[:1], batches=2, start=start, refit=refit), reason, caplog)


def test_no_data_ends_the_trial_with_the_reason_in_its_log(run_trial, monkeypatch, caplog):
    def nothing(*_):
        raise model_def.NoDataError("the commit only deletes")

    monkeypatch.setattr(model_def, "fetch", nothing)
    reason = re.escape("No data. Aborting training. the commit only deletes")
    assert_refused(lambda: run_trial([], batches=2), reason, caplog)


def test_the_config_is_one_a_master_takes():
    assert CONFIG["entrypoint"] == "model_def:TabularTrial"
    assert set(CONFIG["data"]["pachyderm"]) == {
        "host", "port", "project", "repo", "branch", "token", "previous_commit",
    }  # fmt: skip
    assert not any(CONFIG["data"]["pachyderm"].values())
    assert CONFIG["searcher"]["metric"] == "val_auc"
    assert CONFIG["searcher"]["smaller_is_better"] is False
    assert "batches" in CONFIG["searcher"]["max_length"]
    assert "batches" in CONFIG["min_validation_period"]
    assert (CONFIG["workspace"], CONFIG["project"]) == ("PDK Demos", "pdk-customer-churn")


def test_the_experiment_imports_nothing_of_the_stack():
    for path in Path(model_def.__file__).parent.glob("*.py"):
        assert not re.search(r"^\s*(from|import) pdk\b", path.read_text(), re.MULTILINE), path
