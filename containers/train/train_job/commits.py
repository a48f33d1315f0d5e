"""What the job asks Pachyderm and the experiment's own code: which commit this is, and whether its data is sound.

The experiment decides what sound data is: if its folder holds a ``contract.json``, its modules ``data``, ``contract``
and ``table`` download the diff and check it, the same ones the trial uses afterwards. An experiment without a
contract is trained unchecked.
"""

from __future__ import annotations

import importlib
import logging
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from train_job.failure import TrainError, patiently
from train_job.settings import Settings

logger = logging.getLogger("train")

CONTRACT_FILE = "contract.json"


@dataclass(frozen=True)
class DataSummary:
    """What a commit brings: files by their path in the repo, and rows in all."""

    files: tuple[str, ...]
    rows: int


def data_commit(settings: Settings, client: Any = None) -> str:
    """Id of the data commit this job reads.

    Mostly the job's own id; but a job that a change of the pipeline started reads an older commit, which Pachyderm
    finds under the job's id as well.
    """
    client = client or Client(settings.pachd_host, settings.pachd_port, settings.pach_token)
    address = f"{settings.project}/{settings.repo}@{settings.job_id}"
    try:
        commit = pfs.Commit.from_uri(address)
        info = patiently(lambda: client.pfs.inspect_commit(commit=commit), "finding the data commit", seconds=60)
    except (grpc.RpcError, ConnectionError) as error:
        detail = error.details() if isinstance(error, grpc.Call) else str(error)
        raise TrainError(
            f"cannot read commit {address}: {detail}",
            f"Pachyderm at {settings.pachd_host}:{settings.pachd_port}",
            "check that --repo and --project name the pipeline's input repo, and that PAC_TOKEN may read it",
        ) from error
    return str(info.commit.id)


def validate(settings: Settings, code: Path, previous: str | None) -> DataSummary | None:
    """Download what the commit changed and check it against the experiment's contract; None without a contract.

    Raises TrainError if there is nothing to train on, or something the contract does not allow.
    """
    if not (code / CONTRACT_FILE).is_file():
        logger.warning("the experiment has no %s: the data is not checked before training", CONTRACT_FILE)
        return None
    data, contract, table = _experiment_modules(code)
    source = data.PachydermSource(
        host=settings.pachd_host,
        port=settings.pachd_port,
        project=settings.project,
        repo=settings.repo,
        branch=settings.job_id,
        previous_commit=previous,
        token=settings.pach_token,
    )
    where = f"{source.address}, compared with {previous or 'nothing'}"
    with tempfile.TemporaryDirectory(prefix="commit-") as folder:
        try:
            rules = contract.load(code / CONTRACT_FILE)
            files = data.download(source, Path(folder), rules)
            rows = table.read_all(files, rules).rows
        except data.NoDataError as error:
            raise TrainError(f"No data. Aborting training. {error}", where, _NO_DATA_REMEDY) from error
        except data.DataError as error:
            raise TrainError(
                str(error), where, "see the reason above; then commit again or update the pipeline"
            ) from error
        except contract.ContractError as error:
            listed = "\n    ".join(map(str, error.problems))
            raise TrainError(f"the data breaks its contract: {listed}", where, _contract_remedy(settings)) from error
    logger.info("the data keeps its contract: %d rows in %s", rows, ", ".join(files))
    return DataSummary(tuple(files), rows)


_NO_DATA_REMEDY = (
    "nothing, if that was meant: no version was made and the one that serves goes on serving. To train on all "
    "data again, use --no-incremental"
)


def _contract_remedy(settings: Settings) -> str:
    repo = f"{settings.repo}@master"
    return (
        f"commit a corrected file over it (put file {repo}:<path> -f <file>) or delete it (delete file {repo}:<path>); "
        f"or, if the data is right, change {CONTRACT_FILE} in the experiment. The version that serves goes on serving"
    )


def _experiment_modules(code: Path) -> tuple[ModuleType, ModuleType, ModuleType]:
    """The experiment's ``data``, ``contract`` and ``table``, imported from its folder as the trial will import them."""
    if str(code) not in sys.path:
        sys.path.insert(0, str(code))
    try:
        return importlib.import_module("data"), importlib.import_module("contract"), importlib.import_module("table")
    except ImportError as error:
        raise TrainError(
            f"the experiment has a {CONTRACT_FILE}, but its data.py, contract.py or table.py cannot "
            f"be imported: {error}",
            str(code),
            "keep these modules, and what they import, beside the contract; or remove the contract",
        ) from error
