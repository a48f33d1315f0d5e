"""A master in a process of its own, or the one the environment names, and Determined's own clients pointed at it."""

import contextlib
import os
import shutil
import subprocess
import sys
import types
import uuid
from pathlib import Path

import pytest
import targets
import yaml
from determined.common import context
from determined.common.api import bindings
from determined.experimental import Determined
from waiting import wait_until

from pdk.process import tree

HERE = Path(__file__).parent
TOY = HERE / "toy"
CORE_SCRIPT = HERE / "core_script"


class MasterProcess:
    """Starts, stops and kills one master over one data folder; a restart keeps the port."""

    def __init__(self, data_dir, slots=2):
        self.data_dir = data_dir
        self.marker = f"test-determined-{uuid.uuid4().hex}/trial/"
        self.slots = slots
        self.port = 0
        self.process = None
        self.log = data_dir.parent / f"{data_dir.name}.log"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, HERE / "serve_master.py", self.data_dir, str(self.port), self.marker, str(self.slots)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.port = int(line)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log.read_text()
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()

    def trial_processes(self):
        return tree.find_marked(lambda marker: marker.startswith(self.marker))

    def client(self, user="determined"):
        return Determined(self.url, user=user, password="")


class NamedMaster:
    """A master that runs elsewhere."""

    def __init__(self, url):
        self.url = url

    def client(self, user="determined"):
        return Determined(self.url, user=user, password="")

    def remove_own(self):
        """Remove the models whose names are this run's; experiments stay, as their workspaces must."""
        client = self.client()
        for model in client.list_models(name=targets.SUFFIX):
            model.delete()


@contextlib.contextmanager
def running_master(folder, slots=2):
    master = MasterProcess(folder / "master", slots)
    master.start()
    try:
        yield master
    finally:
        if master.process.poll() is None:
            master.stop()
        tree.kill_marked(lambda marker: marker.startswith(master.marker))


@pytest.fixture(scope="session", autouse=True)
def token_store(tmp_path_factory):
    """Keep the clients' token files out of the home folder."""
    previous = os.environ.get("DET_DEBUG_CONFIG_PATH")
    folder = tmp_path_factory.mktemp("det-config")
    os.environ["DET_DEBUG_CONFIG_PATH"] = str(folder)
    yield folder
    if previous is None:
        del os.environ["DET_DEBUG_CONFIG_PATH"]
    else:
        os.environ["DET_DEBUG_CONFIG_PATH"] = previous


@pytest.fixture(scope="session")
def master(tmp_path_factory):
    if targets.MASTER is not None:
        named = NamedMaster(targets.MASTER)
        yield named
        named.remove_own()
        return
    with running_master(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture
def own_master(tmp_path):
    with running_master(tmp_path, slots=1) as running:
        yield running


@pytest.fixture(scope="session")
def client(master):
    return master.client()


@pytest.fixture(scope="session")
def det(master, token_store, tmp_path_factory):
    """Run the real command line against the shared master; returns its output, fails on a wrong exit status."""
    folder = tmp_path_factory.mktemp("cli")
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "HOME": str(folder),
        "DET_MASTER": master.url,
        "DET_DEBUG_CONFIG_PATH": str(token_store),
        "COLUMNS": "300",
    }

    def run(*arguments, status=0, stdin=""):
        result = subprocess.run(
            ["det", *map(str, arguments)],
            input=stdin,
            env=env,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        output = result.stdout + result.stderr
        assert result.returncode == status, output
        return output

    return run


def toy_config(**changes):
    """The toy's configuration as a map; dotted keys change inner values."""
    config = {
        "name": "toy",
        "entrypoint": "model_def:ToyTrial",
        "hyperparameters": {"global_batch_size": 32, "lr": 0.01},
        "searcher": {
            "name": "single",
            "metric": "val_loss",
            "smaller_is_better": True,
            "max_length": {"batches": 300},
        },
        "min_validation_period": {"batches": 100},
        "max_restarts": 0,
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = config
        for name in parents:
            inner = inner.setdefault(name, {})
        inner[last] = value
    return config


def script_config(command, **changes):
    """An experiment that runs a command instead of a trial class."""
    config = {
        "name": "script",
        "entrypoint": command,
        "searcher": {"name": "single", "metric": "loss"},
        "max_restarts": 0,
    }
    return {**config, **changes}


def context_of(folder, **files):
    """Make a context directory from file contents; `__` in a name stands for the dot."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def copy_of_toy(folder, replace=("", "")):
    """Copy the toy's code, one text replaced."""
    shutil.copytree(TOY, folder)
    code = folder / "model_def.py"
    code.write_text(code.read_text().replace(*replace))
    return folder


def submit(client, config, folder=None, parent_id=None, **more):
    """Create an experiment with what the SDK's own call leaves out (a parent, validation only, a project)."""
    body = bindings.v1CreateExperimentRequest(
        config=config if isinstance(config, str) else yaml.safe_dump(config),
        modelDefinition=context.read_v1_context(folder),
        parentId=parent_id,
        activate=True,
        **more,
    )
    answer = bindings.post_CreateExperiment(client._session, body=body)
    return client.get_experiment(answer.experiment.id) if answer.experiment.id else answer


def state_of(experiment):
    """Ask the master for the experiment's state."""
    experiment.reload()
    return experiment.state.value.removeprefix("STATE_")


def logs_of(experiment):
    """The whole log of the experiment's first trial."""
    return "".join(experiment.list_trials()[0].iter_logs())


@pytest.fixture(scope="session")
def lab():
    """What the tests build experiments with (test modules cannot import each other)."""
    return types.SimpleNamespace(
        TOY=TOY,
        CORE_SCRIPT=CORE_SCRIPT,
        toy_config=toy_config,
        script_config=script_config,
        context_of=context_of,
        copy_of_toy=copy_of_toy,
        submit=submit,
        wait_until=wait_until,
        state_of=state_of,
        logs_of=logs_of,
    )
