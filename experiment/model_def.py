"""The trial Determined runs: entrypoint ``model_def:TabularTrial``.

Data comes from ``data.py``, is read against the contract by ``table.py``, encoded by ``features.py`` and trained
in memory; ``tasks.py`` says what is learned: one of two classes, one of several, or a number.

A warm start (``searcher.source_checkpoint_uuid``) continues with the weights *and the first fit* of the
preprocessing: weights mean nothing under other scales. ``data.refit: true`` fits anew instead.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import batches
import checkpoints
import contract as contracts
import determined as det
import features
import numpy as np
import table as tables
import tasks
import torch
from columns import Table, taken
from data import NoDataError, fetch
from determined import pytorch
from fitting import fit
from holdout import validation_rows
from network import build_model
from restoring import allow_restoring

logger = logging.getLogger("experiment.trial")


class TabularTrial(pytorch.PyTorchTrial):
    """Learns the contract's label from its other columns."""

    def __init__(self, context: pytorch.PyTorchTrialContext) -> None:
        allow_restoring()
        self.context = context
        self.hparams: Mapping[str, Any] = context.get_hparams()
        config = context.get_data_config()
        self._contract = contracts.load()
        self._label = contracts.label_of(self._contract)["name"]
        self._refit = bool(config.get("refit", False))
        self._table = _read(config, self._contract)
        self._start_checkpoint = _start_checkpoint()
        self.spec = self._spec_for(self._start_checkpoint)
        self.model = context.wrap_model(build_model(self.spec.n_features, self.hparams, self.spec.n_outputs))
        self._optimizer = context.wrap_optimizer(
            torch.optim.AdamW(
                self.model.parameters(),
                lr=float(self.hparams["learning_rate"]),
                weight_decay=float(self.hparams["weight_decay"]),
            )
        )
        self._loss = tasks.loss(self.spec)
        self._total_batches = _length_in_batches(context.get_experiment_config())
        self._held_out = validation_rows(self._table, self._label, float(self.hparams["validation_fraction"]))

    def start_from(self, checkpoint: str | None) -> None:
        """Called before the loaders are built, with the checkpoint the weights will come from.

        On a cluster that is the one the constructor knew of; run locally, it is known only now.
        """
        if checkpoint is None or checkpoint == self._start_checkpoint:
            return
        spec = self._spec_for(checkpoint)
        if spec.n_features != self.spec.n_features:
            raise _refused(_other_width(checkpoint, spec.n_features, self.spec.n_features))
        self.spec = spec

    def build_callbacks(self) -> dict[str, pytorch.PyTorchCallback]:
        """The files serving needs, in every checkpoint."""
        return {"serving_files": checkpoints.ServingFiles(self)}

    def build_training_data_loader(self) -> pytorch.DataLoader:
        """Shuffled batches of the rows that are not held out."""
        seed = torch.initial_seed()  # the trial's seed, which Determined has set; a context off the cluster has none
        return batches.loader(self._rows(~self._held_out), self.context.get_per_slot_batch_size(), seed)

    def build_validation_data_loader(self) -> pytorch.DataLoader:
        """The rows held out."""
        return batches.loader(self._rows(self._held_out), int(self.hparams["validation_batch_size"]))

    def train_batch(self, batch: pytorch.TorchData, epoch_idx: int, batch_idx: int) -> dict[str, torch.Tensor]:
        """One step of the optimizer."""
        rows, labels = cast("Sequence[torch.Tensor]", batch)  # as batches.loader gives it
        self._set_learning_rate(batch_idx)
        loss = self._loss(self.model(rows), labels)
        self.context.backward(loss)
        self.context.step_optimizer(self._optimizer)
        return {"loss": loss}

    def evaluate_full_dataset(
        self, data_loader: torch.utils.data.DataLoader[tuple[torch.Tensor, torch.Tensor]]
    ) -> dict[str, float]:
        """Metrics over all held-out rows; an AUC is no mean over batches."""
        scores, labels = [], []
        for rows, batch_labels in data_loader:
            scores.append(self.model(self.context.to_device(rows)).cpu())
            labels.append(batch_labels)
        return tasks.evaluate(torch.cat(scores).double().numpy(), torch.cat(labels).double().numpy(), self.spec)

    def _rows(self, chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> batches.Rows:
        columns = {name: taken(column, chosen) for name, column in self._table.columns.items()}
        labels = tasks.targets(np.asarray(columns[self._label]), self.spec)
        return batches.Rows(features.encode(columns, self.spec), labels)

    def _fitted_spec(self) -> features.FeatureSpec:
        try:
            spec = fit(self._table.columns, self._contract)
        except features.FeatureError as error:
            raise _refused(str(error)) from error
        logger.info("fitted the preprocessing to %d rows: %d features", self._table.rows, spec.n_features)
        return spec

    def _spec_for(self, checkpoint: str | None) -> features.FeatureSpec:
        """The spec of the checkpoint training starts from; a new fit if there is none, or if that is wanted."""
        if checkpoint is None:
            return self._fitted_spec()
        kept = checkpoints.read_spec(self.context, checkpoint)
        if self._refit:
            logger.warning("data.refit is set: scales and categories are fitted anew, unlike those of the weights")
            fitted = self._fitted_spec()
            if kept is not None and kept.n_features != fitted.n_features:
                raise _refused(_other_width(checkpoint, kept.n_features, fitted.n_features))
            return fitted
        if kept is None:
            raise _refused(
                f"checkpoint {checkpoint} holds no {checkpoints.FEATURE_SPEC}: it is not of this experiment. Start "
                "afresh, or set data.refit: true to fit the preprocessing to the new data"
            )
        self._refuse_another(kept, checkpoint)
        kept = replace(kept, threshold=float(self._contract.get("threshold", 0.5)))
        logger.info("keeping the fit of checkpoint %s: %d features", checkpoint, kept.n_features)
        return kept

    def _refuse_another(self, kept: features.FeatureSpec, checkpoint: str) -> None:
        """Refuse a checkpoint of other columns, or of another task."""
        wanted = {fact["name"] for fact in self._contract["columns"]} - {self._label}
        if wanted != set(kept.columns):
            raise _refused(
                f"the contract's columns differ from those checkpoint {checkpoint} was fitted to: "
                f"{', '.join(sorted(wanted ^ set(kept.columns)))}. Start afresh (train.py --no-incremental)"
            )
        if (kept.task, kept.classes) != (contracts.task_of(self._contract), contracts.classes_of(self._contract)):
            raise _refused(
                f"checkpoint {checkpoint} was trained for {kept.task} {list(kept.classes)}, the contract says "
                f"{contracts.task_of(self._contract)} {list(contracts.classes_of(self._contract))}. Start afresh "
                "(train.py --no-incremental)"
            )

    def _set_learning_rate(self, batch_idx: int) -> None:
        """Warm up, then fall along half a cosine to a fiftieth.

        Set from the batch number and not by a scheduler: a warm start restores the state of scheduler and
        optimizer, and would begin with the rate the last training ended with.
        """
        peak = float(self.hparams["learning_rate"])
        rate = peak * min(1.0, (batch_idx + 1) / int(self.hparams["warmup_batches"]))
        if self._total_batches:
            done = min(1.0, batch_idx / self._total_batches)
            rate *= 0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2
        for group in self._optimizer.param_groups:
            group["lr"] = rate
            group["weight_decay"] = float(self.hparams["weight_decay"])


def _read(config: Mapping[str, Any], contract: contracts.Contract) -> Table:
    try:
        with fetch(config, contract) as files:
            table = tables.read_all(files, contract)
    except NoDataError as error:
        raise _refused(f"No data. Aborting training. {error}") from error
    logger.info("read %d rows from %d file(s)", table.rows, len(files))
    return table


def _refused(reason: str) -> det.InvalidHP:
    """An error that ends the trial without a retry. Determined swallows its text, so it is logged here."""
    logger.error("%s", reason)
    return det.InvalidHP(reason)


def _other_width(checkpoint: str, stored: int, fitted: int) -> str:
    return (
        f"the weights of checkpoint {checkpoint} take {stored} features, and this data fits {fitted}: they cannot go "
        "together. Start afresh (train.py --no-incremental)"
    )


def _start_checkpoint() -> str | None:
    """The checkpoint a trial on a cluster resumes from or is warm-started from."""
    info = det.get_cluster_info()
    return info.latest_checkpoint if info is not None else None


def _length_in_batches(config: Mapping[str, Any]) -> int | None:
    length = config.get("searcher", {}).get("max_length")
    return int(length["batches"]) if isinstance(length, Mapping) and "batches" in length else None
