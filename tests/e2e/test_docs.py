"""Every command of README and docs, run as it stands there. Fenced blocks marked `sh` are commands, others are not."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pdk_demo.systems import connect
from pdk_demo.temporary import temporary_environment, temporary_stack

from pdk.stack import settings, supervisor

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def documents():
    names = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split()]


def commands(path, heading=None):
    """The `sh` blocks of a document, or of one of its sections."""
    text = path.read_text()
    if heading is not None:
        text = re.split(r"^## ", text.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return [body for language, body in FENCE.findall(text) if language == "sh"]


def shell(script, cwd, environment, timeout):
    done = subprocess.run(
        ["bash", "-exuo", "pipefail", "-c", script],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def checkout(tmp_path):
    """A copy of the checkout with the same environment, so that what the commands write lands in a temporary folder."""
    folder = tmp_path / "pdk"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def test_every_block_says_what_it_is_and_commands_stand_where_they_are_run():
    homes = set()
    for path in documents():
        for language, _ in FENCE.findall(path.read_text()):
            assert language, f"{path}: a block without a language; commands are `sh`, all else is not"
            homes |= {path.relative_to(ROOT).as_posix()} if language == "sh" else set()
    assert homes == {"README.md", "CONTRIBUTING.md", "docs/your-own-model.md"}
    assert len(commands(ROOT / "README.md")) == 3


def test_contributors_run_what_ci_runs():
    """The commands of "Set up and test" are `.ci/run` and the scripts it is made of, with more words at the most."""
    (block,) = commands(ROOT / "CONTRIBUTING.md", "Set up and test")[:1]
    words = {line.split()[0] for line in block.splitlines()}
    assert words == {"scripts/setup", "scripts/check", "scripts/test", ".ci/run"}
    assert words - {"scripts/setup", ".ci/run"} <= set((ROOT / ".ci" / "run").read_text().split())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_suites_of_the_official_clients_against_another_stack(checkout):
    """The commands of "Against other servers", with the addresses of a stack that none of these tests started."""
    (block,) = commands(ROOT / "CONTRIBUTING.md", "Set up and test")[1:]
    with temporary_stack() as stack:
        environment = {**os.environ, **stack.environment}
        systems = connect(stack.settings)
        for documented, address in (
            ("127.0.0.1:30650", systems.pachd_address),
            ("127.0.0.1:30600", systems.s3_address),
            ("http://127.0.0.1:8080", systems.master_url),
            ("127.0.0.1:8000", f"{systems.ingress_host}:{systems.ingress_port}"),
            ("~/.kube/config", str(stack.settings.kubeconfig)),
        ):
            assert documented in block
            block = block.replace(documented, address)
        output = shell(block, checkout, environment, 1140)
    assert len(re.findall(r"\b\d+ passed", output)) == block.count("scripts/test")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_readme_from_the_demo_to_the_answer(checkout, tmp_path):
    environment = temporary_environment(tmp_path / "home")
    blocks = commands(ROOT / "README.md", "Two commands") + commands(ROOT / "README.md", "By hand")
    # The tests do not run themselves.
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith("scripts/test")]
    assert lines[0].startswith("scripts/demo")
    try:
        output = shell("\n".join(lines), checkout, environment, 840)
    finally:
        supervisor.stop(settings.load(environment))
    assert output.count("Ground truth/Predicted: ") == 20
    assert output.count('"predictions"') == 1
    assert output.rstrip().endswith("stopped")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_commands_for_real_clusters(checkout, tmp_path):
    """Against our own servers; where pachctl is not installed, `pdk` answers to its name: the words are the same."""
    programs = tmp_path / "bin"
    programs.mkdir()
    if shutil.which("pachctl") is None:
        (programs / "pachctl").write_text('#!/bin/sh\nexec pdk "$@"\n')
        (programs / "pachctl").chmod(0o755)
    (block,) = commands(ROOT / "README.md", "On real clusters")
    with temporary_stack() as stack:
        environment = {**stack.environment, "PATH": f"{programs}:{os.environ['PATH']}"}
        # A real pachd sees the secrets of its Kubernetes namespace; ours keeps its own.
        literals = [word for word in block.split() if word.startswith("--from-literal=")]
        stack.pdk("create", "secret", "customer-churn-secret", *literals)
        shell(f'eval "$({ROOT}/.venv/bin/pdk env)"\n{block}', checkout, environment, 240)
        pipelines = stack.pdk("list", "pipeline", "--project", "pdk-customer-churn").stdout
    assert [name for name in ("train", "deploy", "rollout") if f"customer-churn-{name}" not in pipelines] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_guide_to_a_model_of_ones_own(checkout, tmp_path):
    environment = temporary_environment(tmp_path / "home")
    blocks = commands(ROOT / "docs" / "your-own-model.md")
    try:
        output = shell("\n".join([f'eval "$({ROOT}/.venv/bin/pdk env)"', *blocks]), checkout, environment, 280)
    finally:
        supervisor.stop(settings.load(environment))
    assert output.count("benign") + output.count("malignant") >= 29
