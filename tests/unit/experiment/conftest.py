"""Makes the experiment's modules importable the way a trial does, from their folder, and gives small data to them."""

import copy
import csv
import importlib
import json
import logging
import sys
from pathlib import Path

import pytest
import yaml
from determined import pytorch

ROOT = Path(__file__).resolve().parents[3]
for folder in ("experiment", "sample-data", "containers/deploy"):
    sys.path.append(str(ROOT / folder))

# Here, not where it is used: other tests bring a module of this name, and take it away again.
import model_def  # noqa: E402

CONFIG = yaml.safe_load((ROOT / "experiment" / "const.yaml").read_text())

CONTRACT = {
    "version": 1,
    "files": ["*.csv"],
    "extra_columns": "ignore",
    "unknown_categories": "reject",
    "columns": [
        {"name": "months", "kind": "numeric", "dtype": "int"},
        {"name": "plan", "kind": "categorical", "categories": ["basic", "gold"]},
        {"name": "churn", "kind": "label", "values": [0, 1]},
        {"name": "revenue", "kind": "numeric", "dtype": "float"},
    ],
}


@pytest.fixture
def contract():
    """A contract of four columns; tests may change it."""
    return json.loads(json.dumps(CONTRACT))


@pytest.fixture
def write_csv(tmp_path):
    """Write lines of values as a CSV; the first is the header."""

    def write(*lines, name="data.csv"):
        path = tmp_path / name
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
        return path

    return write


@pytest.fixture(scope="session")
def churn_contract():
    """The contract of the churn data."""
    return importlib.import_module("contract").load()


@pytest.fixture
def run_trial(tmp_path, monkeypatch, capfd):
    """Run a trial over files, from a checkpoint or afresh: (trial, checkpoint folder, val_auc by batch)."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "store"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(files, batches=300, start=None, hparams=None, **data):
        config = copy.deepcopy(CONFIG)
        config["data"].update(files=[str(file) for file in files], **data)
        config["searcher"]["max_length"]["batches"] = batches
        hyperparameters = {**config["hyperparameters"], **(hparams or {})}
        logging.getLogger("determined").setLevel(logging.INFO)
        before = set((tmp_path / "store").rglob("state_dict.pth"))
        with pytorch.init(hparams=hyperparameters, exp_conf=config, enable_tensorboard_logging=False) as context:
            trial = model_def.TabularTrial(context)
            scores = {}
            report = context._core.train.report_validation_metrics
            monkeypatch.setattr(
                context._core.train,
                "report_validation_metrics",
                lambda steps_completed, metrics: (
                    scores.update({steps_completed: metrics}),
                    report(steps_completed, metrics),
                ),
            )
            pytorch.Trainer(trial, context).fit(
                max_length=pytorch.Batch(batches),
                validation_period=pytorch.Batch(100),
                checkpoint_policy="none",
                latest_checkpoint=start,
            )
        (weights,) = set((tmp_path / "store").rglob("state_dict.pth")) - before
        return trial, weights.parent, scores

    return run
