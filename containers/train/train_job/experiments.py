"""The experiment of this job: found again or created, waited for, and its best checkpoint.

A job may be run again after a crash, with the same id. The job's id is a label of its experiment, put there as it is
created, so the second run finds what the first began and trains nothing twice.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from determined.common.api import errors
from determined.experimental import Determined
from determined.experimental.client import Checkpoint, Experiment, Trial
from determined.experimental.client import ExperimentState as State
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from train_job import sdk_output
from train_job.failure import TrainError, patiently
from train_job.settings import Settings

logger = logging.getLogger("train")

_ENDED = {State.COMPLETED, State.CANCELED, State.ERROR, State.DELETED, State.DELETE_FAILED}
_DOOMED = {State.STOPPING_CANCELED, State.STOPPING_ERROR, State.STOPPING_KILLED, State.DELETING}
_FILE_NAMES_BYTES = 16 * 1024
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_LOGGED_LINES = 50
_SHOWN_LINES = 5
#: `[time] container [rank=0] || ` before what the trial has written.
_LINE_PREFIX = re.compile(r"^\[[^\]]*\].*?\|\| ?")
#: The last line of a traceback.
_EXCEPTION_LINE = re.compile(r"(?P<text>[\w.]*(?:Error|Exception|Interrupt|Exit|InvalidHP)\b.*)$")
#: An error that was logged, but not the master's, which only says that the process ended.
_ERROR_LINE = re.compile(r"ERROR: \[\d+\] (?P<text>.*)$")


@dataclass(frozen=True)
class Lineage:
    """What a version came from; goes into the experiment's ``data`` section, and from there into the registry.

    ``source_version``: number of the version training went on from; None, like ``previous_commit``, if afresh.
    ``files`` and ``rows``: what is trained on, the paths in the data repo; empty and None if it was not checked.
    """

    data_commit: str
    previous_commit: str | None
    code_commit: str
    source_version: int | None
    source_checkpoint: str | None
    files: tuple[str, ...] = ()
    rows: int | None = None


def read_config(path: Path) -> dict[str, Any]:
    """The experiment config, read as Determined reads it (YAML 1.2, where 1e-4 is a number)."""
    try:
        config = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise TrainError(
            f"cannot read the experiment config: {error}", str(path), "correct --config or the file"
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("searcher"), dict):
        raise TrainError("the experiment config has no searcher", str(path), "complete it")
    return config


def fill_config(config: Mapping[str, Any], settings: Settings, lineage: Lineage) -> dict[str, Any]:
    """The config with this job's data, labels, description and starting point filled in."""
    filled = dict(config)
    data = dict(config.get("data") or {})
    data["pachyderm"] = {
        **(data.get("pachyderm") or {}),
        "host": settings.pachd_host,
        "port": settings.pachd_port,
        "project": settings.project,
        "repo": settings.repo,
        "branch": settings.job_id,
        "previous_commit": lineage.previous_commit,
    }
    data["lineage"] = {
        "job_id": settings.job_id,
        "pipeline": settings.pipeline,
        "data_commit": lineage.data_commit,
        "code_commit": lineage.code_commit,
        "source_version": lineage.source_version,
        "files": _fitting(lineage.files),
        "file_count": len(lineage.files),
        "rows": lineage.rows,
    }
    filled["data"] = data
    filled["labels"] = [*(config.get("labels") or []), settings.repo, settings.job_id, settings.pipeline]
    filled["description"] = _description(settings, lineage)
    if lineage.source_checkpoint:
        searcher = {key: value for key, value in config["searcher"].items() if key != "source_trial_id"}
        filled["searcher"] = {**searcher, "source_checkpoint_uuid": lineage.source_checkpoint}
    if settings.pass_token and settings.pach_token:
        filled["environment"] = _with_token(config.get("environment") or {}, settings.pach_token)
    return filled


def find(determined: Determined, job_id: str) -> Experiment | None:
    """The experiment an earlier run of this job began: the newest that is running, or has left a checkpoint."""
    listed = patiently(lambda: determined.list_experiments(labels=[job_id]), "looking for this job's experiment")
    mine = [experiment for experiment in listed if job_id in (experiment.labels or ())]
    for experiment in sorted(mine, key=lambda experiment: experiment.id, reverse=True):
        if experiment.state not in _ENDED | _DOOMED:
            return experiment
        if experiment.state is State.COMPLETED and _best(experiment) is not None:
            return experiment
    return None


def find_or_create(determined: Determined, config: Mapping[str, Any], code: Path, settings: Settings) -> Experiment:
    """The experiment of this job. The current code goes with it, also when it continues from a checkpoint.

    (The original example sent none with a continued experiment, and the master then took the first one's for ever.)
    """

    def attempt() -> Experiment:
        found = find(determined, settings.job_id)
        if found is not None:
            return found
        with sdk_output.captured():
            return determined.create_experiment(dict(config), code)

    try:
        return patiently(attempt, "creating the experiment")
    except errors.BadRequestException as error:
        place = f"{config.get('workspace')}/{config.get('project')}"
        raise TrainError(
            f"Determined refuses the experiment: {error}",
            f"{settings.det_master}, config {settings.config}",
            f"correct the config; if workspace/project {place} is what is missing, create it (det project create)",
        ) from error


def wait(experiment: Experiment, poll_seconds: float = 0.5) -> None:
    """Log progress until the experiment has completed. Raises TrainError with the trial's last lines if it fails."""
    patiently(experiment.reload, f"reading experiment {experiment.id}")
    progress = _Progress(experiment)
    progress.log()
    started = time.monotonic()
    while experiment.state not in _ENDED:
        time.sleep(min(5.0, max(poll_seconds, (time.monotonic() - started) / 60)))
        patiently(experiment.reload, f"waiting for experiment {experiment.id}")
        progress.log()
    if experiment.state is not State.COMPLETED:
        raise _failed(
            experiment, f"experiment {experiment.id} ended as {experiment.state.value.removeprefix('STATE_')}"
        )


def best_checkpoint(experiment: Experiment) -> Checkpoint:
    """The best checkpoint by the searcher metric. Raises TrainError if the experiment left none, or one that diverged.

    Weights of NaN must not be registered: the build would refuse them, and so would every later version's that goes on
    from them.
    """
    best = _best(experiment)
    if best is None:
        raise _failed(experiment, f"experiment {experiment.id} completed without a checkpoint")
    broken = _not_finite(best)
    if broken:
        raise TrainError(
            f"the training diverged: {', '.join(broken)} of the best checkpoint; nothing is registered",
            f"checkpoint {best.uuid} of experiment {experiment.id}",
            "look at the metrics of the experiment; lower the learning rate or correct the data, and commit or update "
            "the pipeline again. The version that serves goes on serving",
        )
    return best


def metrics_of(checkpoint: Checkpoint) -> dict[str, float]:
    """Validation metrics of a checkpoint, by name."""
    if checkpoint.training is None:
        return {}
    averages = checkpoint.training.validation_metrics.get("avgMetrics") or {}
    return {name: value for name, value in sorted(averages.items()) if isinstance(value, (int, float))}


def _not_finite(checkpoint: Checkpoint) -> list[str]:
    """``name is value`` of each validation metric that is no number to compare; JSON has these as texts."""
    averages = (checkpoint.training.validation_metrics.get("avgMetrics") or {}) if checkpoint.training else {}
    return [
        f"{name} is {value}"
        for name, value in sorted(averages.items())
        if value in _NOT_FINITE or (isinstance(value, float) and not math.isfinite(value))
    ]


class _Progress:
    """One line whenever there is something new to say."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        searcher = (experiment.config or {}).get("searcher") or {}
        self._metric = str(searcher.get("metric"))
        length = searcher.get("max_length")
        self._batches = length.get("batches") if isinstance(length, Mapping) else None
        self._said: set[str] = set()

    def log(self) -> None:
        experiment = self._experiment
        if experiment.state is not None:
            self._say(f"is {experiment.state.value.removeprefix('STATE_')}")
        if experiment.state is State.PAUSED:
            self._say(f"is paused: go on with `det experiment activate {experiment.id}`")
        if experiment.progress:
            self._say(self._how_far(experiment.progress) + self._how_good())

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            logger.info("experiment %d %s", self._experiment.id, text)

    def _how_far(self, progress: float) -> str:
        if self._batches:
            return f"has trained {round(progress * int(self._batches))} of {self._batches} batches"
        return f"is {progress:.0%} done"

    def _how_good(self) -> str:
        trials = patiently(self._experiment.list_trials, "reading metrics")
        latest = [_latest_metric(trial, self._metric) for trial in trials]
        known = [f"{value:.4f}" for value in latest if value is not None]
        return f", {self._metric} {', '.join(known)}" if known else ""


def _latest_metric(trial: Trial, name: str) -> float | None:
    group = (trial.summary_metrics or {}).get("validation_metrics") or {}
    value = (group.get(name) or {}).get("last")
    return float(value) if isinstance(value, (int, float)) else None


def _best(experiment: Experiment) -> Checkpoint | None:
    """Without an order the server puts the best by the searcher's metric and direction first."""
    found = patiently(lambda: experiment.list_checkpoints(max_results=1), "listing checkpoints")
    return found[0] if found else None


def _failed(experiment: Experiment, what: str) -> TrainError:
    """The error of an experiment that went wrong, with the cause its last trial has logged.

    A failed job shows the end of what it wrote: the cause and a few lines go there, more of them to the job's log.
    """
    trials = patiently(experiment.list_trials, "listing trials")
    if not trials:
        return TrainError(f"{what} before it had a trial", f"experiment {experiment.id}", "see det master logs")
    trial = trials[-1]
    lines = patiently(lambda: list(trial.iter_logs(tail=_LOGGED_LINES)), "reading the trial's log")
    plain = [_LINE_PREFIX.sub("", line.rstrip()) for line in lines]
    for line in plain:
        logger.error("trial %d: %s", trial.id, line)
    shown = "".join(f"\n    {line}" for line in plain[-_SHOWN_LINES:]) or " none"
    warm = ((experiment.config or {}).get("searcher") or {}).get("source_checkpoint_uuid") is not None
    afresh = "; if new code cannot go on from the old weights, train afresh with --no-incremental" if warm else ""
    return TrainError(
        f"{what}, nothing is registered: {_cause(plain)}\n  the trial's last lines:{shown}",
        f"trial {trial.id} of experiment {experiment.id}",
        f"read its log (det trial logs {trial.id}), correct the cause, and commit or update the pipeline again{afresh}",
    )


def _cause(lines: Sequence[str]) -> str:
    """The line of a log that says best why a trial ended: the last exception, else the last error of the experiment."""
    for pattern in (_EXCEPTION_LINE, _ERROR_LINE):
        found = [match for match in map(pattern.match, lines) if match]
        if found:
            return found[-1]["text"]
    return "its log names no error"


def _fitting(names: Sequence[str]) -> list[str]:
    """The first names: the whole config must fit into one environment variable (128 KiB), where a trial gets it."""
    sizes = accumulate(len(name.encode()) + 4 for name in names)
    return [name for name, size in zip(names, sizes, strict=True) if size <= _FILE_NAMES_BYTES]


def _description(settings: Settings, lineage: Lineage) -> str:
    data = f"{settings.project}/{settings.repo}@{lineage.data_commit}"
    if lineage.source_version is None:
        return f"{settings.pipeline}: first training, on {data}"
    return f"{settings.pipeline}: continues version {lineage.source_version}, on {data}"


def _with_token(environment: Mapping[str, Any], token: str) -> dict[str, Any]:
    """The token as an environment variable of the trial: not in the data section, which is shown and copied most."""
    variables = environment.get("environment_variables") or []
    if isinstance(variables, Mapping):
        added: Any = {kind: [*(listed or []), f"PACH_TOKEN={token}"] for kind, listed in variables.items()}
    else:
        added = [*variables, f"PACH_TOKEN={token}"]
    return {**environment, "environment_variables": added}
