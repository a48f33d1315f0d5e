"""Prepares the run of a trial: its folder, its files under /run/determined, its environment and its command line.

Called by `runs`. The child is Determined's own harness as the original's agent would start it for one slot, without the
launch layers that only matter for several. The files it reads at fixed paths under
/run/determined come from a folder of the run: through a private mount namespace, or, where the machine allows none,
through `redirect/sitecustomize.py`. One `TrialLaunch` is one run; nothing here touches the database.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pdk.determined.master import context
from pdk.determined.master.cluster import Names
from pdk.determined.master.config.experiment import StorageType, is_legacy, storage_folder
from pdk.determined.master.settings import AGENT_ID, MasterSettings
from pdk.determined.master.transitions import Tokens
from pdk.determined.store.records import Allocation, AllocationId, Experiment, ExperimentId, Trial
from pdk.process.child import ChildSpec, Mount

RUN_DIR = "/run/determined"
STARTUP_HOOK = "startup-hook.sh"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REDIRECT = Path(__file__).parent / "redirect" / "sitecustomize.py"


class CannotLaunch(Exception):
    """The run cannot be prepared, and another attempt would fail in the same way; `str` says why and what to do."""


@dataclass(frozen=True)
class TrialLaunch:
    """One run of one trial."""

    trial: Trial
    allocation: Allocation
    experiment: Experiment
    owner: str
    tokens: Tokens
    latest_checkpoint: str | None
    model_definition: bytes


class RunFolders:
    """The folders of runs below the data folder: made before a run, removed after it."""

    def __init__(self, settings: MasterSettings, names: Names, master_url: str) -> None:
        self._settings = settings
        self._names = names
        self._master_url = master_url
        self._runs = settings.data_dir / "runs"
        self._packages = settings.data_dir / "packages"
        self._home = settings.data_dir / "home"

    def clear(self) -> None:
        """Remove what runs of an earlier master left; no run may be going on."""
        shutil.rmtree(self._runs, ignore_errors=True)
        self._runs.mkdir(parents=True, mode=0o700)
        self._home.mkdir(exist_ok=True)

    def prepare(self, launch: TrialLaunch, isolated: bool) -> ChildSpec:
        """Fill the run's folder and return what to start; `isolated`: mount namespaces can be used.

        Raises CannotLaunch, OSError.
        """
        root = self._runs / launch.allocation.id / "determined"
        for name in ("info", "workdir", "train/model", "train/logs"):
            (root / name).mkdir(parents=True)
        context.unpack(launch.model_definition, root / "workdir")
        # The harness copies train/model into each checkpoint as code/: it must stay as it was submitted.
        context.unpack(launch.model_definition, root / "train" / "model")
        Path(storage_folder(launch.experiment.config["checkpoint_storage"])).mkdir(parents=True, exist_ok=True)
        self._packages_of(launch.experiment).mkdir(parents=True, exist_ok=True)
        visible = PurePosixPath(RUN_DIR) if isolated else PurePosixPath(root)
        self._write_info(root / "info", launch)
        environment = self._environment(launch, visible)
        if not isolated:
            shutil.copy(REDIRECT, root / "sitecustomize.py")
            environment["PYTHONPATH"] = _joined(str(root), environment["PYTHONPATH"])
        return ChildSpec(
            marker=f"{self._settings.marker_prefix}{launch.allocation.id}",
            argv=self._command(launch, root / "workdir", environment["PATH"]),
            env=environment,
            cwd=Path(visible / "workdir"),
            mounts=_mounts(launch, root, isolated),
        )

    def remove(self, allocation_id: AllocationId) -> None:
        """Remove the folder of a run that has ended, and what the harness leaves in /tmp."""
        folder = self._runs / allocation_id
        if folder.exists():
            shutil.rmtree(folder)
        for left in Path("/tmp").glob(f"tensorboard-{allocation_id}-*"):  # the harness's own fixed place
            shutil.rmtree(left, ignore_errors=True)

    def remove_packages(self, experiment_id: ExperimentId) -> None:
        """Remove what start-up hooks of an experiment installed."""
        shutil.rmtree(self._packages / str(experiment_id), ignore_errors=True)

    def _packages_of(self, experiment: Experiment) -> Path:
        return self._packages / str(experiment.id)

    def _command(self, launch: TrialLaunch, workdir: Path, path: str) -> list[str]:
        entrypoint = launch.experiment.config["entrypoint"]
        if is_legacy(entrypoint):
            # With one slot the original's chain (launch, torchrun, pid_server, wrap_rank) ends in just this.
            argv = [self._settings.python, "-m", "determined.exec.harness", entrypoint]
        else:
            argv = ["sh", "-c", entrypoint] if isinstance(entrypoint, str) else list(entrypoint)
        if (workdir / STARTUP_HOOK).is_file():
            shell = shutil.which("bash", path=path) or "sh"
            return [shell, "-e", "-c", f'. ./{STARTUP_HOOK}; exec "$@"', STARTUP_HOOK, *argv]
        return argv

    def _environment(self, launch: TrialLaunch, visible: PurePosixPath) -> dict[str, str]:
        python = Path(self._settings.python)
        packages = str(self._packages_of(launch.experiment))
        variables = launch.experiment.config["environment"]["environment_variables"]["cpu"]
        own = {name: value for name, _, value in (each.partition("=") for each in variables)}
        environment = {
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "PYTHONHASHSEED": "0",
            "PIP_TARGET": packages,
            "OMP_NUM_THREADS": str(self._settings.threads_per_trial),
            # torch >= 2.6 would refuse the harness's own checkpoints; they were written by this experiment's code.
            "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
            **self._task_variables(launch, visible),
            **self._settings.trial_env,
            **own,
        }
        path = own.get("PATH") or self._settings.trial_env.get("PATH") or SYSTEM_PATH
        environment["PATH"] = _joined(str(python.parent), path)
        environment["PYTHONPATH"] = _joined(
            packages, self._settings.trial_env.get("PYTHONPATH", ""), own.get("PYTHONPATH", "")
        )
        return environment

    def _task_variables(self, launch: TrialLaunch, visible: PurePosixPath) -> dict[str, str]:
        trial, allocation = launch.trial, launch.allocation
        variables = {
            "DET_MASTER": self._master_url,
            "DET_CLUSTER_ID": self._names.cluster_id,
            "DET_MASTER_ID": self._names.master_id,
            "DET_AGENT_ID": AGENT_ID,
            "DET_SLOT_IDS": "[0]",
            "DET_CONTAINER_ID": allocation.container_id,
            "DET_RESOURCES_ID": allocation.container_id,
            "DET_RESOURCES_TYPE": "docker-container",
            "DET_TASK_ID": allocation.task_id,
            "DET_ALLOCATION_ID": allocation.id,
            "DET_SESSION_TOKEN": launch.tokens.task,
            "DET_USER_TOKEN": launch.tokens.user,
            "DET_USER": launch.owner,
            "DET_TASK_TYPE": "TRIAL",
            "DET_TRIAL_ID": str(trial.id),
            "DET_EXPERIMENT_ID": str(trial.experiment_id),
            "DET_TRIAL_RUN_ID": str(trial.run_id),
            "DET_TRIAL_SEED": str(trial.seed),
            "DET_HPARAMS": json.dumps(trial.hparams),
            "DET_EXPERIMENT_CONFIG": json.dumps(harness_config(launch.experiment.config)),
            "DET_STEPS_COMPLETED": str(allocation.resumed_at),
            "DET_USE_TLS": "false",
            "DET_SEGMENT_ENABLED": "false",
            "DET_WORKDIR": str(visible / "workdir"),
            "DET_RUN_DIR": str(visible),
            "DET_TASK_LOGGING_METADATA": "{}",
        }
        if launch.latest_checkpoint is not None:
            variables["DET_LATEST_CHECKPOINT"] = launch.latest_checkpoint
        return variables

    def _write_info(self, folder: Path, launch: TrialLaunch) -> None:
        trial, allocation = launch.trial, launch.allocation
        config = harness_config(launch.experiment.config)
        cluster = {
            "master_url": self._master_url,
            "cluster_id": self._names.cluster_id,
            "agent_id": AGENT_ID,
            "slot_ids": [0],
            "task_id": allocation.task_id,
            "allocation_id": allocation.id,
            "session_token": launch.tokens.task,
            "task_type": "TRIAL",
            "master_cert_name": None,
            "master_cert_file": None,
            "latest_checkpoint": launch.latest_checkpoint,
        }
        about = {
            "trial_id": trial.id,
            "experiment_id": trial.experiment_id,
            "trial_seed": trial.seed,
            "hparams": trial.hparams,
            "config": config,
            "steps_completed": allocation.resumed_at,
            "trial_run_id": trial.run_id,
            "debug": config["debug"],
            "inter_node_network_interface": None,
        }
        rendezvous = {"container_addrs": ["127.0.0.1"], "container_rank": 0, "container_slot_counts": [1]}
        files = {"cluster": cluster, "trial": about, "rendezvous": rendezvous, "resources": {"gpu_uuids": []}}
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
            (folder / f"{name}.json").chmod(0o600)


def harness_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration as the harness gets it: checkpoints go straight into their folder of this machine."""
    storage = config["checkpoint_storage"]
    saved = {name: value for name, value in storage.items() if name.startswith("save_")}
    return {
        **config,
        "checkpoint_storage": {**saved, "type": StorageType.DIRECTORY, "container_path": storage_folder(storage)},
    }


def _mounts(launch: TrialLaunch, root: Path, isolated: bool) -> list[Mount]:
    own = launch.experiment.config["bind_mounts"]
    if not isolated:
        if own:
            raise CannotLaunch("bind_mounts need mount namespaces, which this machine does not allow")
        return []
    mounts = [Mount(root, RUN_DIR)]
    for each in own:
        source = Path(each["host_path"])
        if not source.is_absolute() or not source.is_dir():
            raise CannotLaunch(f"bind_mounts: {each['host_path']} is not a folder of this machine (absolute path)")
        target = os.path.normpath(f"{RUN_DIR}/workdir/{each['container_path']}")
        if PurePosixPath(each["container_path"]).is_absolute():
            target = os.path.normpath(each["container_path"])
        elif target.startswith(f"{RUN_DIR}/workdir/"):
            (root / PurePosixPath(target).relative_to(RUN_DIR)).mkdir(parents=True, exist_ok=True)
        else:
            raise CannotLaunch(f"bind_mounts: container_path {each['container_path']!r} leaves the working folder")
        mounts.append(Mount(source, target, each["read_only"]))
    return mounts


def _joined(*paths: str) -> str:
    return os.pathsep.join(path for path in paths if path)
