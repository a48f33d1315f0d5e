"""Stage times and the ids that tie a round of the loop together, read from what the systems recorded."""

from __future__ import annotations

import datetime

from pdk_demo.systems import DEPLOY, ROLLOUT, TRAIN
from pdk_demo.watch import Lap, parse_time

STAGES = (
    "commit finished -> training job runs",
    "training job: check data, create experiment",
    "experiment (trial start, training, checkpoints)",
    "training job: register version, write output",
    "-> deployment job runs",
    "deployment job: build the .mar",
    "-> rollout job runs",
    "rollout job: until the new revision answers",
    "commit finished -> new version serves",
)


def stage_seconds(lap: Lap) -> list[float]:
    """Return the seconds of each of STAGES for one finished round."""
    if lap.committed is None or lap.trial is None or lap.experiment is None:
        raise ValueError(f"the round of commit {lap.commit_id} was not watched to its end")
    train, deploy, rollout = (lap.jobs[name] for name in (TRAIN, DEPLOY, ROLLOUT))
    finished = lap.committed.finished
    trial_start, trial_end = parse_time(lap.trial["startTime"]), parse_time(lap.trial["endTime"])
    spans: list[tuple[datetime.datetime, datetime.datetime]] = [
        (finished, train.started),
        (train.started, trial_start),
        (trial_start, trial_end),
        (trial_end, train.finished),
        (train.finished, deploy.started),
        (deploy.started, deploy.finished),
        (deploy.finished, rollout.started),
        (rollout.started, rollout.finished),
        (finished, rollout.finished),
    ]
    # A job may start a moment before the one it waited for is marked as ended: that one's output commit finishes first.
    return [max(0.0, (end - start).total_seconds()) for start, end in spans]


def stage_table(laps: dict[str, Lap]) -> str:
    """Return the table of stage times, one column per file."""
    columns = {name: stage_seconds(lap) for name, lap in laps.items()}
    width = max(map(len, STAGES))
    lines = [f"{'stage (seconds)':<{width}}" + "".join(f"  {name:>14}" for name in columns)]
    for i, stage in enumerate(STAGES):
        if i == len(STAGES) - 1:
            lines.append("-" * len(lines[0]))
        lines.append(f"{stage:<{width}}" + "".join(f"  {column[i]:>14.1f}" for column in columns.values()))
    return "\n".join(lines)


def id_table(laps: dict[str, Lap]) -> str:
    """Return the ids that tie commit, jobs, experiment, version and revision together."""
    lines = []
    for name, lap in laps.items():
        version, experiment = lap.version, lap.experiment
        if version is None or experiment is None or version.checkpoint is None:
            raise ValueError(f"the round of commit {lap.commit_id} has no model version")
        lines += [
            name,
            f"  data commit = job id = version name  {lap.commit_id}",
            f"  experiment {experiment.id}, trial {lap.trial['id']}, checkpoint {version.checkpoint.uuid}",
            f"  model version {version.model_version}, revision {lap.revision}",
        ]
    return "\n".join(lines)
