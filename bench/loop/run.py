"""Commit to first answer of the new version, stage by stage, beside a bare script that does the same without systems.

    .venv/bin/python bench/loop/run.py [--rounds 3]

One run, interleaved: each round makes a new file of 31,000 rows, commits it to a running stack (the real pipelines),
then gives the same file to `bare.py`. Medians; the ratio is loop / bare. The first round of the loop trains from
nothing, the others are warm-started; the first is shown, but is not in the medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from pdk_demo import report  # noqa: E402
from pdk_demo.__main__ import put  # noqa: E402
from pdk_demo.prepare import prepare  # noqa: E402
from pdk_demo.systems import Systems, connect, sample_request  # noqa: E402
from pdk_demo.temporary import temporary_stack  # noqa: E402
from pdk_demo.traffic import Caller  # noqa: E402
from pdk_demo.watch import Watcher  # noqa: E402


def new_file(folder: Path, number: int) -> Path:
    """Generate 31,000 rows nobody has seen."""
    out = folder / f"round{number}"
    command = [sys.executable, str(ROOT / "sample-data" / "generate.py"), "--out", str(out)]
    subprocess.run([*command, "--rows", "31000", "--seed", str(1000 + number)], check=True, stdout=subprocess.DEVNULL)
    return (out / "data_part1.csv").rename(folder / f"rows{number}.csv")


def loop_round(systems: Systems, path: Path) -> dict[str, float]:
    """Commit the file; return seconds by stage, put and first answer included."""
    started = time.perf_counter()
    commit_id = put(systems, path)
    seconds = {"put file": time.perf_counter() - started}
    watcher = Watcher(systems, commit_id)
    caller = Caller(systems, sample_request()[1])
    for _ in watcher.follow(600):
        pass
    if caller.call().data_commit != commit_id:
        raise RuntimeError(f"the answer does not come from {commit_id}")
    caller.close()
    seconds.update(zip(report.STAGES, report.stage_seconds(watcher.lap), strict=True))
    seconds["total"] = seconds["put file"] + seconds[report.STAGES[-1]]
    return seconds


def bare_round(path: Path, folder: Path) -> dict[str, float]:
    """Run the bare script on the same file; return its seconds by stage."""
    out = Path(tempfile.mkdtemp(dir=folder))
    command = [sys.executable, str(ROOT / "bench" / "loop" / "bare.py"), str(path), str(out)]
    # As many threads as the trial gets on two cores: the stack serves meanwhile; one too many makes torch spin.
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    started = time.perf_counter()
    result = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    seconds: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    seconds["total"] = time.perf_counter() - started
    return seconds


def table(title: str, rounds: list[dict[str, float]]) -> None:
    """Print each round and the median of all but the first."""
    print(f"\n{title:<48}" + "".join(f"{f'round {i}':>10}" for i in range(len(rounds))) + f"{'median 1..':>12}")
    for stage in rounds[0]:
        values = [r[stage] for r in rounds]
        print(f"{stage:<48}" + "".join(f"{v:>10.2f}" for v in values) + f"{statistics.median(values[1:]):>12.2f}")


def main() -> None:
    """Run the rounds and print both tables and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds after the first")
    rounds = parser.parse_args().rounds
    loop, bare = [], []
    with tempfile.TemporaryDirectory() as name, temporary_stack() as stack:
        folder, systems = Path(name), connect(stack.settings)
        list(prepare(systems))
        for number in range(rounds + 1):
            path = new_file(folder, number)
            loop.append(loop_round(systems, path))
            bare.append(bare_round(path, folder))
            print(f"round {number}: loop {loop[-1]['total']:.1f} s, bare {bare[-1]['total']:.1f} s", flush=True)
    table("loop (seconds)", loop)
    table("bare script (seconds)", bare)
    medians = [statistics.median(r["total"] for r in side[1:]) for side in (loop, bare)]
    print(f"\nloop / bare = {medians[0]:.1f} / {medians[1]:.1f} = {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main()
