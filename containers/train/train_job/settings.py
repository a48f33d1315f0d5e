"""What the job is told: command line and environment, as one value."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from train_job.failure import TrainError

DEFAULT_PACHD_PORT = 30650


@dataclass(frozen=True)
class Settings:
    """Options of the command line, and what Pachyderm and the pipeline's secret put into the environment."""

    git_url: str
    git_ref: str
    sub_dir: str
    code: str
    code_starts_jobs: bool
    config: str
    repo: str
    project: str
    model: str
    incremental: bool
    pass_token: bool
    job_id: str
    pipeline: str
    pachd_host: str
    pachd_port: int
    det_master: str
    det_user: str
    out: Path
    pach_token: str | None = field(default=None, repr=False)
    det_password: str = field(default="", repr=False)


def read(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings from arguments and environment. Raises TrainError for a variable that is missing or wrong."""
    options = _parser().parse_args(argv)
    return Settings(
        git_url=options.git_url,
        git_ref=options.git_ref,
        sub_dir=options.sub_dir,
        code=options.code,
        # Pachyderm sets it where the pipeline has an input called code.
        code_starts_jobs="code_COMMIT" in environ,
        config=options.config,
        repo=options.repo,
        project=options.project or environ.get("PPS_PROJECT_NAME") or "default",
        model=options.model,
        incremental=options.incremental,
        pass_token=options.pass_token,
        job_id=_needed(environ, "PACH_JOB_ID"),
        pipeline=_needed(environ, "PPS_PIPELINE_NAME"),
        pachd_host=_needed(environ, "PACHD_PEER_SERVICE_HOST"),
        pachd_port=_port(environ.get("PACHD_PEER_SERVICE_PORT") or str(DEFAULT_PACHD_PORT)),
        det_master=_needed(environ, "DET_MASTER"),
        det_user=environ.get("DET_USER") or "determined",
        out=Path(environ.get("PFS_ROOT") or "/pfs") / "out",
        pach_token=environ.get("PACH_TOKEN") or environ.get("PAC_TOKEN") or None,
        det_password=environ.get("DET_PASSWORD") or "",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Train on what a commit changed, and register the result as a new version of a model.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--git-url", default="", help="repository with the experiment's code, or a local folder")
    where.add_argument(
        "--code",
        default="",
        metavar="pfs://PROJECT/REPO@COMMIT",
        help="commit (or branch) of a Pachyderm repo with the experiment's code",
    )
    parser.add_argument("--git-ref", default="", help="branch, tag or commit (default: the folder as it is, or HEAD)")
    parser.add_argument("--sub-dir", default="experiment", help="the experiment's folder in it (default: %(default)s)")
    parser.add_argument(
        "--config", default="const.yaml", help="experiment config in that folder (default: %(default)s)"
    )
    parser.add_argument("--repo", required=True, help="Pachyderm repo the data is committed to")
    parser.add_argument("--project", default="", help="Pachyderm project of that repo (default: the pipeline's)")
    parser.add_argument("--model", required=True, help="name in the model registry")
    parser.add_argument(
        "--incremental",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="train on what changed, from the last version on; or on everything, afresh",
    )
    parser.add_argument(
        "--pass-token",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="give the trial the Pachyderm token, if there is one; or leave it to the trial's own environment",
    )
    return parser


def _needed(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    if not value:
        raise TrainError(
            f"{name} is not set",
            "the job's environment",
            "run this as a Pachyderm pipeline whose secrets map DET_MASTER, DET_USER and DET_PASSWORD "
            "(see pipelines/training-pipeline.json), or set the variable by hand",
        )
    return value


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise TrainError(f"PACHD_PEER_SERVICE_PORT is no port: {text!r}", "the job's environment", "set a port number")
    return int(text)
