"""`kill -9` before and after every COMMIT between the finish of a commit and the end of its last job."""

import json
import os
import subprocess
import sys
from pathlib import Path

from pdk.process.tree import find_marked

SCRIPT = Path(__file__).with_name("crash_lives.py")


def test_every_commit_of_a_jobs_life_may_be_the_last(tmp_path):
    result = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    reports = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(reports) >= 12, "four jobs have more transactions than that"
    for report in reports:
        point = report["point"]
        assert report["states"] == {
            "copy": "JOB_SUCCESS", "fail": "JOB_FAILURE", "join": "JOB_SUCCESS", "below": "JOB_UNRUNNABLE"
        }, point  # fmt: skip
        assert "exit status 1: broken" in report["reasons"]["fail"], point
        assert "exit status 1: broken" in report["reasons"]["below"], point
        assert report["processed"] == {"copy": 2, "fail": 0, "join": 1, "below": 0}, point
        assert report["outputs"]["copy"] == {"/a": "a", "/b": "b"}, point
        assert report["outputs"]["join"] == {"/all": "ab"}, point
        assert (report["open_datums"], report["open_commits"], report["scratch"]) == (0, 0, 0), point
    assert find_marked(lambda marker: marker.startswith(f"pdk-test-lives-{tmp_path}")) == []
