"""The wheel, installed into a fresh environment outside the clone, has all that the whole loop needs."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ("containers", "experiment", "pipelines", "sample-data", "templates")


def tracked(*folders):
    listed = subprocess.run(["git", "ls-files", "--", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel built from a copy of what git knows, and of what an interrupted `sample-data/generate.py` leaves."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    for name in ("data_part1.csv", "data_part1.csv.stamp", ".data_part2.csv.4711"):
        (source / "sample-data" / name).touch()
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", target, source], check=True, capture_output=True)
    return next(target.glob("pdk-*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of a fresh environment with the wheel.

    The packages it depends on are this environment's own, not downloaded again: a line in a .pth file adds their folder
    behind the fresh one's, without what makes the clone itself importable. That they are all declared is a rule of its
    own (tests/rules/test_package.py).
    """
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_carries_each_shipped_file_once(wheel):
    prefix = "pdk/shipped/"
    found = sorted(n.removeprefix(prefix) for n in zipfile.ZipFile(wheel).namelist() if n.startswith(prefix))
    assert found == sorted(tracked(*SHIPPED))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_installed_wheel_runs_the_whole_loop(python, tmp_path):
    scripts = tmp_path / "scripts"
    shutil.copytree(ROOT / "scripts" / "pdk_demo", scripts / "pdk_demo")
    loop = shutil.copy(Path(__file__).with_name("wheel_loop.py"), tmp_path)
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    environment = {**inherited, "HOME": str(tmp_path), "PYTHONPATH": str(scripts), "OMP_NUM_THREADS": "1"}
    result = subprocess.run([python, loop], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    seen = json.loads(result.stdout.splitlines()[-1])
    package = next(python.parents[1].glob("lib/python*/site-packages")) / "pdk"
    assert (seen["pdk"], seen["shipped"]) == (str(package), str(package / "shipped"))
    assert (seen["status"], seen["version"], seen["data_commit"]) == (200, "1", seen["commit"])
    assert {p[0] for p in seen["predictions"]} <= {0, 1}
    assert len(seen["predictions"]) == 10
