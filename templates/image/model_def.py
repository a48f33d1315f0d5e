"""The trial Determined runs: entrypoint `model_def:ImageTrial`.

Trains on the images a commit added or changed; the folder of an image is its class. A warm start goes on with the
weights and the classes of the version before: a class it does not know needs training afresh.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import determined as det
import images
import numpy as np
import torch
from data import NoDataError, fetch
from determined import pytorch
from network import build_network
from restoring import allow_restoring

HERE = Path(__file__).resolve().parent
# Which files of a commit hold images; `data.py` needs no more of a contract.
DATA_FILES = {"files": ["*.png", "*.jpg", "*.jpeg", "*.npz"]}
FACTS = "serving/model.json"
Batch = tuple[torch.Tensor, torch.Tensor]

logger = logging.getLogger("experiment")


class ImageTrial(pytorch.PyTorchTrial):
    """Which class an image belongs to."""

    def __init__(self, context: pytorch.PyTorchTrialContext) -> None:
        allow_restoring()
        self.context = context
        self.hparams: Mapping[str, Any] = context.get_hparams()
        self._shape = images.Shape(int(self.hparams["image_size"]), int(self.hparams["channels"]))
        found = self._read(context.get_data_config())
        self.example = found[0][1]
        self.classes = self._classes({label for label, _ in found})
        pixels = np.stack([image for _, image in found])
        labels = np.array([self.classes.index(label) for label, _ in found])
        held_out = np.array([_is_held_out(image, float(self.hparams["validation_fraction"])) for image in pixels])
        if held_out.all() or not held_out.any():
            raise _refused(f"{len(found)} images are too few: some must be trained on and some judge")
        self._held_out = _dataset(pixels[held_out], labels[held_out])
        self._trained_on = _dataset(pixels[~held_out], labels[~held_out])
        self.model = context.wrap_model(build_network(len(self.classes), self.hparams))
        rate = float(self.hparams["learning_rate"])
        self._optimizer = context.wrap_optimizer(torch.optim.AdamW(self.model.parameters(), lr=rate))

    def build_callbacks(self) -> dict[str, pytorch.PyTorchCallback]:
        """What serving needs, in every checkpoint."""
        return {"serving": ServingFolder(self)}

    def build_training_data_loader(self) -> pytorch.DataLoader:
        """Shuffled batches of the images that are not held out."""
        return pytorch.DataLoader(self._trained_on, self.context.get_per_slot_batch_size(), shuffle=True)

    def build_validation_data_loader(self) -> pytorch.DataLoader:
        """The images held out."""
        return pytorch.DataLoader(self._held_out, 1024)

    def train_batch(self, batch: pytorch.TorchData, epoch_idx: int, batch_idx: int) -> dict[str, torch.Tensor]:
        """One step of the optimizer."""
        pixels, labels = cast("Batch", batch)
        loss = torch.nn.functional.cross_entropy(self.model(pixels), labels)
        self.context.backward(loss)
        self.context.step_optimizer(self._optimizer)
        return {"loss": loss}

    def evaluate_batch(self, batch: pytorch.TorchData, batch_idx: int) -> dict[str, torch.Tensor]:
        """Loss and accuracy; the mean over batches is the result."""
        pixels, labels = cast("Batch", batch)
        logits = self.model(pixels)
        right = (logits.argmax(1) == labels).float().mean()
        return {"val_loss": torch.nn.functional.cross_entropy(logits, labels), "val_acc": right}

    def _read(self, config: Mapping[str, Any]) -> list[tuple[str, Any]]:
        try:
            with fetch(config, DATA_FILES) as files:
                found = [each for name, path in sorted(files.items()) for each in images.read(name, path, self._shape)]
        except (NoDataError, ValueError) as error:
            raise _refused(str(error)) from error
        logger.info("read %d images from %d files", len(found), len(files))
        return found

    def _classes(self, seen: set[str]) -> list[str]:
        """Those of the checkpoint training starts from; without one, those of the commit."""
        info = det.get_cluster_info()
        start = info.latest_checkpoint if info is not None else None
        if start is None:
            return sorted(seen)
        # `_core` has no public name, but is what Determined itself restores the weights through a moment later.
        with self.context._core.checkpoint.restore_path(start, selector=lambda path: path == FACTS) as folder:
            known: list[str] = json.loads((Path(folder) / FACTS).read_text(encoding="utf-8"))["classes"]
        if seen - {*known}:
            new = ", ".join(sorted(seen - {*known}))
            raise _refused(f"the version this goes on from does not know {new}: set train.incremental: false")
        return known


class ServingFolder(pytorch.PyTorchCallback):
    """Adds `serving/` to every checkpoint."""

    def __init__(self, trial: ImageTrial) -> None:
        self._trial = trial

    def on_checkpoint_write_end(self, checkpoint_dir: str) -> None:
        """Write code, classes, weights and signature."""
        folder = Path(checkpoint_dir) / "serving"
        shutil.copytree(HERE / "serving", folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        for name in ("images.py", "network.py"):
            shutil.copyfile(HERE / name, folder / name)
        facts = {"classes": self._trial.classes, "hparams": dict(self._trial.hparams)}
        (folder / "model.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        signature = signature_of(self._trial.classes, self._trial.example)
        (folder / "signature.json").write_text(json.dumps(signature, indent=1) + "\n", encoding="utf-8")
        weights = {name: tensor.detach().cpu() for name, tensor in self._trial.model.state_dict().items()}
        torch.save(weights, folder / "weights.pt")


def signature_of(classes: Sequence[str], example: np.ndarray[Any, Any]) -> dict[str, Any]:
    """What goes in and out, as JSON Schema, with an image of the data as the example."""
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "task": "classification",
        "input": {"type": "string", "contentEncoding": "base64", "description": "an image file, such as PNG or JPEG"},
        "output": {"type": "array", "items": [{"enum": [*classes]}, probability], "minItems": 2, "maxItems": 2},
        "classes": [*classes],
        "example": {"instances": [{"b64": base64.b64encode(images.to_png(example)).decode()}]},
    }


def _is_held_out(image: np.ndarray[Any, Any], fraction: float) -> bool:
    digest = hashlib.blake2b(image.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < fraction * 2**64


def _dataset(pixels: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> torch.utils.data.TensorDataset:
    return torch.utils.data.TensorDataset(torch.from_numpy(pixels), torch.from_numpy(labels))


def _refused(reason: str) -> det.InvalidHP:
    """An error that ends the trial without a retry. Determined swallows its text, so it is logged here."""
    logger.error("%s", reason)
    return det.InvalidHP(reason)
