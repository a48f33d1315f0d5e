"""A whole stack in a temporary home: real servers, real pipelines, real containers."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from pdk_demo.prepare import prepare  # noqa: E402
from pdk_demo.systems import connect  # noqa: E402
from pdk_demo.temporary import temporary_stack  # noqa: E402

from pdk.stack import runfile  # noqa: E402


class Stack:
    """A running stack with the means to break it."""

    def __init__(self, running):
        self._running = running
        self.settings = running.settings
        self.environment = running.environment

    def pdk(self, *words, check=True):
        result = self._running.pdk(*words)
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    def systems(self):
        return connect(self.settings)

    def prepare(self, code_url):
        systems = self.systems()
        list(prepare(systems, str(code_url)))
        return systems

    def kill(self, system):
        """kill -9 one server; the supervisor starts it again."""
        run = runfile.read(self.settings.run_dir, system)
        os.kill(run.pid, signal.SIGKILL)
        return run

    def wait_restarted(self, system, old):
        def another():
            run = runfile.read(self.settings.run_dir, system)
            return run if run is not None and run.pid != old.pid else None

        return wait_until(another, what=f"another {system}")


@pytest.fixture
def stack():
    with temporary_stack() as running:
        yield Stack(running)


@pytest.fixture(scope="module")
def module_stack():
    with temporary_stack() as running:
        yield Stack(running)


@pytest.fixture(scope="module")
def module_quick_code(tmp_path_factory):
    """A copy of the model code that trains for seconds; with the repository's layout (`--sub-dir experiment`)."""
    code = tmp_path_factory.mktemp("code")
    shutil.copytree(ROOT / "experiment", code / "experiment", ignore=shutil.ignore_patterns("__pycache__"))
    const = code / "experiment" / "const.yaml"
    text = const.read_text()
    shortened = "\n".join(_shorten(line) for line in text.splitlines())
    assert shortened != text
    const.write_text(shortened + "\n")
    return code


def _shorten(line):
    key, colon, value = line.partition(":")
    if key.strip() == "batches" and colon and value.split("#")[0].strip().isdigit():
        return f"{key}: {max(1, int(value.split('#')[0]) // 10)}"
    return line


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The folder of the two generated CSVs."""
    folder = tmp_path_factory.mktemp("data")
    subprocess.run([sys.executable, ROOT / "sample-data" / "generate.py", "--out", folder], check=True)
    return folder
