"""Runs the whole loop with the `pdk` that this interpreter has installed; prints what happened as one JSON line.

Started by test_wheel.py outside the clone, with a copy of `scripts/` on PYTHONPATH.
"""

import json
import subprocess
import sys
from pathlib import Path

from pdk_demo.prepare import prepare
from pdk_demo.systems import DATA_REPO, PROJECT, connect, sample_request
from pdk_demo.temporary import temporary_stack
from pdk_demo.traffic import Caller
from pdk_demo.watch import Watcher

import pdk
from pdk.base.shipped import shipped_folder


def main():
    generate = [sys.executable, shipped_folder() / "sample-data" / "generate.py", "--out", "data"]
    subprocess.run(generate, check=True, stdout=sys.stderr)
    with temporary_stack() as stack:
        systems = connect(stack.settings)
        list(prepare(systems))
        target = f"{DATA_REPO}@master:part.csv"
        put = stack.pdk("put", "file", target, "-f", "data/data_part1.csv", "--project", PROJECT)
        put.check_returncode()
        commit = systems.pachyderm.pfs.inspect_commit(commit=systems.data_commit("master")).commit.id
        lines = list(Watcher(systems, commit).follow(420))
        caller = Caller(systems, sample_request()[1])
        answer = caller.call()
        caller.close()
    seen = {
        "pdk": str(Path(pdk.__file__).parent),
        "shipped": str(shipped_folder()),
        "commit": commit,
        "status": answer.status,
        "version": answer.version,
        "data_commit": answer.data_commit,
        "predictions": answer.body["predictions"],
        "lines": lines,
    }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
