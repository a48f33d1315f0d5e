"""The training pipeline's job: from a data commit to a registered model version.

    python train.py --code pfs://PROJECT/REPO@COMMIT --config const.yaml \\
        --repo DATA-REPO --project PROJECT --model NAME [--no-incremental]
    python train.py --git-url URL --git-ref main --sub-dir experiment ...

Pachyderm starts it for every commit to the input repo. In order: get the experiment's code; find the last registered
version and the data commit it was trained on; download what has changed since and check it against the data's
contract; create an experiment on just that, continued from that version's checkpoint with the current code; wait;
register the best checkpoint as a version named after the job; leave it in /pfs/out for the deployment pipeline.

Every step looks first whether it has been done: run again with the same job id after a crash, it goes on where it
was, and neither trains nor registers twice.

Exit code 0: a version is registered and in /pfs/out. Exit code 1: no version was made; the last lines on stderr say
what happened, where, and what to do. That a commit holds nothing to train on is such a failure: the failed job shows
the reason, its output commit is never read, and so nothing is deployed and what serves goes on serving. (Were the job
to succeed, its empty output would replace the model at the head of the output repo.) Exit code 2: wrong options.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from determined.common.api import errors
from determined.experimental import Determined
from determined.experimental.client import Checkpoint, Experiment, ModelVersion
from train_job import commits, experiments, output, registry, sdk_output, settings, source
from train_job.failure import TrainError, patiently
from train_job.settings import Settings

logger = logging.getLogger("train")


def run(job: Settings) -> None:
    """Do the job. Raises TrainError."""
    determined = connect(job)
    models = registry.Registry(determined, job.model)
    versions = models.versions()
    done = registry.version_of_job(versions, job.job_id)
    if done is not None:
        logger.info("version %d of %s is this job's already: writing its output", done.model_version, job.model)
        output.write(job.out, registry.checkpoint_of(done), _info(job, done))
        return
    experiment = experiments.find(determined, job.job_id)
    if experiment is not None:
        logger.info("experiment %d is this job's already: going on with it", experiment.id)
    else:
        experiment = _start(job, determined, versions)
    experiments.wait(experiment)
    best = experiments.best_checkpoint(experiment)
    metadata = _metadata(job, experiment, best)
    version = models.register(best.uuid, job.job_id, [job.pipeline, job.repo], metadata)
    logger.info("registered version %d of %s: %s", version.model_version, job.model, metadata["metrics"])
    output.write(job.out, best, _info(job, version))


def _start(job: Settings, determined: Determined, versions: Sequence[ModelVersion]) -> Experiment:
    """Check the commit's data and begin an experiment on it."""
    with tempfile.TemporaryDirectory(prefix="code-") as scratch:
        if job.code:
            code = source.get_from_pachyderm(job, Path(scratch))
            logger.info("code: %s", code.commit)
        else:
            code = source.get(job.git_url, job.git_ref, job.sub_dir, Path(scratch))
            logger.info("code: %s %s, at %s", job.git_url, job.sub_dir, code.commit)
        config = experiments.read_config(code.folder / job.config)
        data_commit = commits.data_commit(job)
        base = registry.base_version(versions, data_commit) if job.incremental else None
        if job.code_starts_jobs and registry.other_code(versions, data_commit, code.commit):
            logger.info("only the code has changed since the last version: training afresh on all data")
            base = None
        lineage = experiments.Lineage(
            data_commit=data_commit,
            previous_commit=registry.data_commit_of(base) if base else None,
            code_commit=code.commit,
            source_version=base.model_version if base else None,
            source_checkpoint=registry.checkpoint_of(base).uuid if base else None,
        )
        _log_start(lineage)
        checked = commits.validate(job, code.folder, lineage.previous_commit)
        if checked is not None:
            lineage = replace(lineage, files=checked.files, rows=checked.rows)
        filled = experiments.fill_config(config, job, lineage)
        experiment = experiments.find_or_create(determined, filled, code.folder, job)
    logger.info("created experiment %d", experiment.id)
    return experiment


def connect(job: Settings) -> Determined:
    """Log in to the master, tried again while it is away."""

    def log_in() -> Determined:
        with sdk_output.captured():
            return Determined(job.det_master, user=job.det_user, password=job.det_password)

    try:
        return patiently(log_in, "connecting", seconds=60)
    except (errors.UnauthenticatedException, errors.ForbiddenException) as error:
        raise TrainError(
            f"Determined does not let user {job.det_user!r} in: {error}",
            job.det_master,
            "correct det_user and det_password in the pipeline's secret",
        ) from error


def _log_start(lineage: experiments.Lineage) -> None:
    if lineage.source_version is None:
        logger.info("data commit %s: training afresh on all of it", lineage.data_commit)
    else:
        logger.info(
            "data commit %s: going on from version %d, with what has changed since %s",
            lineage.data_commit,
            lineage.source_version,
            lineage.previous_commit,
        )


def _metadata(job: Settings, experiment: Experiment, best: Checkpoint) -> dict[str, Any]:
    """What the registry keeps about a version. From the experiment itself, which a crash may lie behind."""
    data: Mapping[str, Any] = (experiment.config or {}).get("data") or {}
    lineage = data.get("lineage") or {}
    return {
        "job_id": job.job_id,
        "pipeline": job.pipeline,
        "project": job.project,
        "repo": job.repo,
        "data_commit": lineage.get("data_commit") or job.job_id,
        "previous_commit": (data.get("pachyderm") or {}).get("previous_commit"),
        "code_commit": lineage.get("code_commit"),
        "source_version": lineage.get("source_version"),
        "files": lineage.get("files"),
        "file_count": lineage.get("file_count"),
        "rows": lineage.get("rows"),
        "experiment_id": experiment.id,
        "trial_id": best.training.trial_id if best.training else None,
        "metrics": experiments.metrics_of(best),
    }


def _info(job: Settings, version: ModelVersion) -> dict[str, Any]:
    """The content of model-info.yaml, from what is registered."""
    metadata = dict(version.metadata or {})
    kept = (
        "data_commit",
        "previous_commit",
        "files",
        "file_count",
        "rows",
        "code_commit",
        "source_version",
        "experiment_id",
        "trial_id",
        "metrics",
    )
    return {
        "name": job.model,
        "version": version.model_version,
        "version_name": version.name,
        "pipeline": job.pipeline,
        "project": job.project,
        "repo": job.repo,
        "checkpoint": registry.checkpoint_of(version).uuid,
        **{key: _whole(metadata.get(key)) for key in kept},
    }


def _whole(value: Any) -> Any:
    """Metadata travels as JSON, in which the master may have made 3 into 3.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def main(argv: Sequence[str] | None = None) -> int:
    """Command line. The exit code is as described above."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    try:
        run(settings.read(sys.argv[1:] if argv is None else argv, os.environ))
    except TrainError as error:
        return _fail(str(error))
    except errors.BadRequestException as error:
        return _fail(f"Determined: {error}\n  where: {os.environ.get('DET_MASTER')}\n  what to do: see det master logs")
    return 0


def _fail(message: str) -> int:
    sys.stdout.flush()  # so that the error stays last where both streams are one
    sys.stderr.write(f"error: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
