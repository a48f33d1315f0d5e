"""The commands of each example's README, as they stand there, one after the other."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def follow(module_stack, tmp_path):
    """Do what an example's README says, in a copy of its folder; return what each command printed, and the folder."""

    def follow(example):
        folder = shutil.copytree(EXAMPLES / example, tmp_path / example, ignore=shutil.ignore_patterns("data"))
        environment = {**module_stack.environment, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        commands = [line[4:] for line in (folder / "README.md").read_text().splitlines() if line.startswith("    ")]
        # `eval "$(pdk env)"` is for what follows: one shell for all.
        script = "set -euo pipefail\n" + "\n".join(f"{command}\necho '--- done'" for command in commands)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=250,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        printed = done.stdout.split("--- done\n")
        return dict(zip(commands, printed[:-1], strict=True)), folder

    return follow


def test_own_csv(follow):
    printed, folder = follow("own-csv")
    (said,) = (text for command, text in printed.items() if command.startswith("pdk new"))
    assert "sample" in said
    truth = [row["diagnosis"] for row in csv.DictReader((folder / "data/truth.csv").open())]
    words = printed["pdk predict tumours -f data/rows.csv"].split()
    found = [word for word in words if word in ("benign", "malignant")]
    assert len(found) == len(truth) == 29
    right = sum(a == b for a, b in zip(found, truth, strict=True))
    assert right >= 25


def test_digits(follow):
    printed, _ = follow("digits")
    (uploaded,) = (text for command, text in printed.items() if command.startswith("curl"))
    assert [label for label, _ in json.loads(uploaded)["predictions"]] == ["1", "2"]
    assert "7" in printed["pdk predict digits -f data/unseen/7.png"]
