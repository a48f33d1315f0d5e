"""A whole stack in a temporary home: real servers, real pipelines, real containers."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from pdk_demo.prepare import prepare  # noqa: E402
from pdk_demo.systems import Systems, connect  # noqa: E402

from pdk.stack import runfile, settings, supervisor  # noqa: E402

PORTS = ("PACHD_PORT", "S3_PORT", "MASTER_PORT", "KUBERNETES_PORT", "INGRESS_PORT")


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


@dataclass
class Stack:
    environment: dict
    settings: settings.Settings

    def pdk(self, *words, check=True):
        result = subprocess.run(
            [sys.executable, "-m", "pdk.cli.main", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    def systems(self) -> Systems:
        return connect(self.settings)

    def prepare(self, code_url) -> Systems:
        systems = self.systems()
        list(prepare(systems, str(code_url)))
        return systems

    def kill(self, system):
        """kill -9 one server and wait until the supervisor has started it again."""
        run = runfile.read(self.settings.run_dir, system)
        os.kill(run.pid, signal.SIGKILL)
        return run

    def wait_restarted(self, system, old):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            run = runfile.read(self.settings.run_dir, system)
            if run is not None and run.pid != old.pid:
                return run
            time.sleep(0.05)
        raise AssertionError(f"{system} was not started again")


@contextlib.contextmanager
def running_stack():
    home = Path(tempfile.mkdtemp(prefix="pdk-e2e-"))
    ports = {f"PDK_{name}": str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR")}
    environment = {**keep, "HOME": str(home), "PDK_HOME": str(home / "pdk"), "OMP_NUM_THREADS": "1", **ports}
    stack = Stack(environment, settings.load(environment))
    try:
        stack.pdk("up")
        yield stack
    finally:
        supervisor.stop(stack.settings)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def stack():
    with running_stack() as running:
        yield running


@pytest.fixture(scope="module")
def module_stack():
    with running_stack() as running:
        yield running


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
