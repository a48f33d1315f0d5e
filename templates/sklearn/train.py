"""The experiment: a Core API script, started by Determined as `python3 train.py`, or by hand with data.files set.

Reads the commit against `contract.json`, encodes it with `features.py`, fits the estimator of `estimator.py` and leaves
checkpoints whose `serving/` folder is served. Goes on from the checkpoint of an earlier version, with its scales and
categories, where the estimator can; else it says that it trains afresh, and does so on all data of the commit.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contract as contracts
import determined as det
import features
import numpy as np
import table as tables
import yaml
from data import fetch
from determined import core
from feature_spec import FeatureSpec
from fitting import fit as fit_spec
from holdout import validation_rows
from signature import signature_of

try:
    import joblib
    import sklearn
    from estimator import make_estimator
except ModuleNotFoundError:
    raise ImportError("this experiment needs scikit-learn: pip install 'pdk[sklearn]', or scikit-learn") from None

HERE = Path(__file__).resolve().parent
Array = np.ndarray[Any, Any]

logger = logging.getLogger("experiment")


@dataclass
class Training:
    """What a checkpoint keeps; `epochs` of `commit` are done. The spec holds task, classes and scales as well."""

    spec: FeatureSpec
    estimator: Any
    commit: str | None = None
    epochs: int = 0

    def save(self, folder: Path) -> None:
        """Write the serving folder: code, preprocessing, estimator, signature."""
        shutil.copytree(HERE / "serving", folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        for name in ("features.py", "feature_spec.py"):
            shutil.copyfile(HERE / name, folder / name)
        signature = signature_of(self.spec, contracts.load())
        (folder / "signature.json").write_text(json.dumps(signature, indent=1) + "\n", encoding="utf-8")
        (folder / "feature_spec.json").write_text(self.spec.to_json(), encoding="utf-8")
        (folder / "state.json").write_text(json.dumps({"commit": self.commit, "epochs": self.epochs}), encoding="utf-8")
        (folder / "requirements.txt").write_text(f"scikit-learn=={sklearn.__version__}\n", encoding="utf-8")
        joblib.dump(self.estimator, folder / "estimator.joblib")

    @staticmethod
    def load(folder: Path) -> Training:
        """Read what `save` wrote; the estimator is a pickle, and comes from this cluster's own checkpoints."""
        spec = FeatureSpec.from_json((folder / "feature_spec.json").read_text(encoding="utf-8"))
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return Training(spec, joblib.load(folder / "estimator.joblib"), **state)


def main(context: core.Context, data: dict[str, Any], hparams: Mapping[str, Any], checkpoint: str | None) -> None:
    """Train on the commit of the configuration."""
    contract = contracts.load()
    commit = (data.get("pachyderm") or {}).get("branch")
    training = restore(context, checkpoint) if checkpoint else None
    if training is not None and not goes_on(training):
        training, data = None, {**data, "pachyderm": {**data["pachyderm"], "previous_commit": None}}
    with fetch(data, contract) as files:
        table = tables.read_all(files, contract)
    if training is None:
        spec = fit_spec(table.columns, contract)
        training = Training(spec, make_estimator(spec.task))
    if training.commit != commit:
        training.commit, training.epochs = commit, 0
    rows, label = features.encode(table.columns, training.spec), training.spec.label
    held_out = validation_rows(table, label, float(hparams["validation_fraction"]))
    labels = np.asarray(table.columns[label])
    fit(context, training, hparams, (rows[~held_out], labels[~held_out]), (rows[held_out], labels[held_out]))


def goes_on(training: Training) -> bool:
    """Whether the estimator of an earlier version can learn from more data; said if not."""
    old, new = training.estimator, make_estimator(training.spec.task)
    if type(old) is type(new) and hasattr(old, "partial_fit"):
        return True
    logger.warning(
        "%s cannot go on from the %s of before: training afresh on all data", type(new).__name__, type(old).__name__
    )
    return False


def fit(
    context: core.Context,
    training: Training,
    hparams: Mapping[str, Any],
    learned: tuple[Array, Array],
    judged: tuple[Array, Array],
) -> None:
    """Fit (features, labels), report on those that are held out, leave checkpoints; stop when asked to."""
    rows, targets = learned[0], targets_of(learned[1], training.spec)
    if not hasattr(training.estimator, "partial_fit"):
        training.estimator.fit(rows, targets)
        leave(context, training, 1, judged)
        return
    more = {"classes": range(len(training.spec.classes))} if training.spec.classes else {}
    total, every = int(hparams["epochs"]), int(hparams["epochs_per_checkpoint"])
    while training.epochs < total:
        training.estimator.partial_fit(rows, targets, **more)
        training.epochs += 1
        if training.epochs % every == 0 or training.epochs == total:
            leave(context, training, training.epochs, judged)
            context.train.report_progress(training.epochs / total)
            if context.preempt.should_preempt():
                return


def targets_of(labels: Array, spec: FeatureSpec) -> Array:
    """What the estimator learns: class numbers, or scaled numbers."""
    return labels.astype(int) if spec.target is None else (labels - spec.target.mean) / spec.target.std


def leave(context: core.Context, training: Training, steps: int, judged: tuple[Array, Array]) -> None:
    """Report the score (accuracy, or R2) and leave a checkpoint."""
    rows, targets = judged[0], targets_of(judged[1], training.spec)
    context.train.report_validation_metrics(steps, {"val_score": float(training.estimator.score(rows, targets))})
    with context.checkpoint.store_path({"steps_completed": steps}) as (path, _):
        training.save(path / "serving")


def restore(context: core.Context, checkpoint: str) -> Training:
    """The training of an earlier version, or of this trial before it was interrupted."""
    with context.checkpoint.restore_path(checkpoint) as path:
        training = Training.load(path / "serving")
    logger.info("restored %d epochs of commit %s", training.epochs, training.commit)
    return training


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    info = det.get_cluster_info()
    if info is None:  # by hand
        config = yaml.safe_load((HERE / "const.yaml").read_text(encoding="utf-8"))
        with core.init(checkpoint_storage="checkpoints") as local:
            main(local, config["data"], config["hyperparameters"], None)
    else:
        with core.init() as cluster:
            main(cluster, info.user_data, info.trial.hparams, info.latest_checkpoint)
