"""What a checkpoint holds for serving, and how a warm start gets the feature spec back.

Beside Determined's own files (which need Determined and pickle to read) every checkpoint has ``serving/``, all that a
server needs::

    model.py            class Model, from the experiment's own ``serving/``
    features.py         the preprocessing, with feature_spec.py, and network.py, the network: the code that was trained
    feature_spec.json   the fitted preprocessing, for ``features.encode``
    model_config.json   what ``network.build_model`` was called with, and the versions it ran on
    weights.pt          the network's state dict, tensors only: torch.load(..., weights_only=True)
    signature.json      what goes in and what comes out, as JSON Schema, with an example

and, by Determined, the code that was trained, under ``code/``.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import determined as det
import torch
from contract import load
from determined import pytorch
from feature_spec import FeatureSpec
from signature import signature_of

logger = logging.getLogger("experiment.checkpoints")

HERE = Path(__file__).resolve().parent
SERVING = "serving"
FEATURE_SPEC = "feature_spec.json"
MODEL_CONFIG = "model_config.json"
WEIGHTS = "weights.pt"
# The modules that the served model imports.
MODULES = ("features.py", "feature_spec.py", "network.py")


class ServingFiles(pytorch.PyTorchCallback):
    """Adds the serving folder to every checkpoint. ``trial`` gives ``spec``, ``model`` and ``hparams`` at that time."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def on_trial_startup(self, first_batch_idx: int, checkpoint_uuid: str | None) -> None:
        """Before the data is encoded: take the spec of the checkpoint training starts from."""
        self._trial.start_from(checkpoint_uuid)

    def on_checkpoint_write_end(self, checkpoint_dir: str) -> None:
        """Write the folder."""
        write(Path(checkpoint_dir) / SERVING, self._trial.spec, self._trial.model, self._trial.hparams)


def write(folder: Path, spec: FeatureSpec, model: torch.nn.Module, hparams: Mapping[str, Any]) -> None:
    """Write the serving folder of a trained network."""
    plain = model.module if isinstance(model, torch.nn.parallel.DistributedDataParallel) else model
    config = {
        "n_features": spec.n_features,
        "n_outputs": spec.n_outputs,
        "hparams": dict(hparams),
        "torch": str(torch.__version__),
        "determined": str(det.__version__),
    }
    shutil.copytree(HERE / SERVING, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for name in MODULES:
        shutil.copyfile(HERE / name, folder / name)
    (folder / FEATURE_SPEC).write_text(spec.to_json(), encoding="utf-8")
    signature = json.dumps(signature_of(spec, load()), indent=1, ensure_ascii=False)
    (folder / "signature.json").write_text(signature + "\n", encoding="utf-8")
    (folder / MODEL_CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    torch.save({name: tensor.detach().cpu() for name, tensor in plain.state_dict().items()}, folder / WEIGHTS)


def read_spec(context: pytorch.PyTorchTrialContext, uuid: str) -> FeatureSpec | None:
    """The feature spec of a checkpoint in the experiment's storage, or None if that checkpoint has none.

    ``_core`` has no public name, but is what Determined itself restores the weights through a moment later.
    Checkpoints of version 0.1.0 have the spec beside Determined's files.
    """
    wanted = (f"{SERVING}/{FEATURE_SPEC}", FEATURE_SPEC)
    with context._core.checkpoint.restore_path(uuid, selector=lambda path: path in wanted) as folder:
        found = [Path(folder) / name for name in wanted if (Path(folder) / name).exists()]
        return FeatureSpec.from_json(found[0].read_text(encoding="utf-8")) if found else None
