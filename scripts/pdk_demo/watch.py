"""Follows one data commit through the three systems until its version serves, or something fails.

Everything is read from the systems by the commit's id, so watching can begin at any time, also after the fact.
"""

import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from determined.experimental import Experiment, ModelVersion
from determined.experimental.client import ExperimentState
from pachyderm_sdk.api import pfs, pps

from pdk_demo.systems import DEPLOY, MODEL, PROJECT, ROLLOUT, TRAIN, Systems

POLL_SECONDS = 0.3
ENDED = {
    pps.JobState.JOB_SUCCESS,
    pps.JobState.JOB_FAILURE,
    pps.JobState.JOB_KILLED,
    pps.JobState.JOB_UNRUNNABLE,
}


class LoopFailed(RuntimeError):
    """A job of the loop ended without success; the text carries its reason."""


@dataclass
class Lap:
    """What is known of one round of the loop; filled while it is watched."""

    commit_id: str
    committed: pfs.CommitInfo | None = None
    jobs: dict[str, pps.JobInfo] = field(default_factory=dict)
    experiment: Experiment | None = None
    trial: Any = None
    version: ModelVersion | None = None
    revision: str = ""


class Watcher:
    """Watches the round that commit `commit_id` of the data repo started."""

    def __init__(self, systems: Systems, commit_id: str) -> None:
        self._systems = systems
        self._said: set[str] = set()
        self.lap = Lap(commit_id)

    def follow(self, timeout: float, alive: Callable[[], bool] = lambda: True) -> Iterator[str]:
        """Yield a line whenever a stage makes progress, end when the rollout job succeeded.

        Raises LoopFailed with the job's reason, TimeoutError after `timeout` seconds; ends early when `alive` says no.
        """
        deadline = time.monotonic() + timeout
        while alive():
            yield from self._new(self._look())
            self._raise_failed()
            rollout = self.lap.jobs.get(ROLLOUT)
            if rollout is not None and rollout.state == pps.JobState.JOB_SUCCESS:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"commit {self.lap.commit_id} does not serve after {timeout:.0f} s; see `pdk status`"
                )
            time.sleep(POLL_SECONDS)

    def _new(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            if line not in self._said:
                self._said.add(line)
                yield line

    def _look(self) -> Iterator[str]:
        yield from self._look_at_commit()
        yield from self._look_at_job(TRAIN, "training job   ")
        yield from self._look_at_experiment()
        yield from self._look_at_version()
        yield from self._look_at_job(DEPLOY, "deployment job ")
        yield from self._look_at_job(ROLLOUT, "rollout job    ")
        yield from self._look_at_service()

    def _look_at_commit(self) -> Iterator[str]:
        if self.lap.committed is not None:
            return
        info = self._systems.pachyderm.pfs.inspect_commit(commit=self._systems.data_commit(self.lap.commit_id))
        if info.finished.timestamp() > 0:
            self.lap.committed = info
            yield f"data commit      {self.lap.commit_id} finished"

    def _look_at_job(self, pipeline: str, label: str) -> Iterator[str]:
        known = self.lap.jobs.get(pipeline)
        if known is not None and known.state in ENDED:
            return
        job = pps.Job(pipeline=pps.Pipeline(name=pipeline, project=pfs.Project(name=PROJECT)), id=self.lap.commit_id)
        try:
            info = self._systems.pachyderm.pps.inspect_job(job=job, details=True)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return
            raise
        self.lap.jobs[pipeline] = info
        if info.state != pps.JobState.JOB_CREATED:
            yield f"{label}  {(pps.JobState(info.state).name or '').removeprefix('JOB_').lower()}"

    def _look_at_experiment(self) -> Iterator[str]:
        if TRAIN not in self.lap.jobs or (
            self.lap.experiment is not None and self.lap.experiment.state is ExperimentState.COMPLETED
        ):
            return
        if self.lap.experiment is None:
            found = self._systems.determined.list_experiments(labels=[self.lap.commit_id])
            if not found:
                return
            self.lap.experiment = found[0]
        self.lap.experiment.reload()
        state = self.lap.experiment.state
        if state is not None:
            yield f"experiment       {self.lap.experiment.id} {state.value.removeprefix('STATE_').lower()}"
        yield from self._look_at_trial()

    def _look_at_trial(self) -> Iterator[str]:
        if self.lap.experiment is None:
            return
        for trial in self.lap.experiment.list_trials():
            raw = self._systems.determined._session.get(f"/api/v1/trials/{trial.id}").json()["trial"]
            self.lap.trial = raw
            latest = (raw.get("latestValidation") or {}).get("metrics", {}).get("avgMetrics", {})
            shown = "  ".join(f"{k} {latest[k]:.3f}" for k in ("val_loss", "val_acc", "val_auc") if k in latest)
            if raw["totalBatchesProcessed"]:
                yield f"experiment       {self.lap.experiment.id} batch {raw['totalBatchesProcessed']:>5}  {shown}"

    def _look_at_version(self) -> Iterator[str]:
        if self.lap.version is not None or self.lap.experiment is None:
            return
        for model in self._systems.determined.list_models(name=MODEL):
            for version in model.list_versions() if model.name == MODEL else ():
                if version.name == self.lap.commit_id:
                    self.lap.version = version
                    yield f"model version    {MODEL} v{version.model_version} registered"

    def _look_at_service(self) -> Iterator[str]:
        if ROLLOUT not in self.lap.jobs:
            return
        service = self._systems.inference_service()
        if service is None:
            return
        status: dict[str, Any] = dict(service.get("status") or {})  # type: ignore[call-overload]
        predictor = status.get("components", {}).get("predictor", {})
        ready = next((c["status"] for c in status.get("conditions", []) if c["type"] == "Ready"), "Unknown")
        created, serving = predictor.get("latestCreatedRevision", "-"), predictor.get("latestReadyRevision", "-")
        self.lap.revision = serving
        yield f"InferenceService {MODEL} Ready={ready} newest revision {created}, serving {serving}"

    def _raise_failed(self) -> None:
        for pipeline, job in self.lap.jobs.items():
            if job.state in ENDED and job.state != pps.JobState.JOB_SUCCESS:
                state = (pps.JobState(job.state).name or "").removeprefix("JOB_").lower()
                raise LoopFailed(f"{pipeline}@{job.job.id}: {state}: {job.reason}")


def parse_time(text: str) -> datetime.datetime:
    """Parse Determined's RFC 3339 times."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
