"""The demonstration, start to end; run by `scripts/demo`, again at any time: it goes on where it was."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pachyderm_sdk.api import pfs

from pdk.stack import clients, settings
from pdk_demo import report
from pdk_demo.prepare import prepare
from pdk_demo.systems import DATA_REPO, MODEL, PROJECT, SHIPPED, Systems, connect, sample_request
from pdk_demo.traffic import Answer, Caller, Tally, Traffic
from pdk_demo.watch import Lap, LoopFailed, Watcher

PARTS = ("data_part1.csv", "data_part2.csv")
LAP_TIMEOUT_SECONDS = 900.0
CHUNK_BYTES = 2 * 1024 * 1024
STARTED = time.monotonic()


def say(text: str = "") -> None:
    """Print a line with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:6.1f}s] {text}" if text else "", flush=True)


def headline(text: str) -> None:
    """Print what comes next."""
    print(f"\n== {text}", flush=True)


def committed_as(systems: Systems, name: str) -> str | None:
    """Return the id of the commit that brought the file, None when it is not there."""
    client = systems.pachyderm.pfs
    head = systems.data_commit("master")
    found = None
    for info in client.list_commit(repo=head.repo, to=head) if client.branch_exists(head.branch) else ():
        if not client.path_exists(pfs.File(commit=info.commit, path=f"/{name}")):
            break
        found = info.commit.id
    return found


def put(systems: Systems, path: Path) -> str:
    """Put a file as one commit, as `pachctl put file` does; return the commit's id."""

    def requests() -> Iterator[pfs.ModifyFileRequest]:
        yield pfs.ModifyFileRequest(set_commit=systems.data_commit("master"))
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=f"/{path.name}"))
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{path.name}", raw=chunk))

    systems.pachyderm.pfs.modify_file(requests())
    return str(systems.pachyderm.pfs.inspect_commit(commit=systems.data_commit("master")).commit.id)


def run_lap(systems: Systems, path: Path) -> Lap:
    """Commit `path` unless it is committed, then watch until its version serves."""
    commit_id = committed_as(systems, path.name)
    if commit_id is None:
        started = time.monotonic()
        commit_id = put(systems, path)
        seconds = time.monotonic() - started
        say(f"pdk put file {DATA_REPO}@master:{path.name} -f sample-data/{path.name}   ({seconds:.1f} s)")
    else:
        say(f"{path.name} is already committed as {commit_id}")
    watcher = Watcher(systems, commit_id)
    for line in watcher.follow(LAP_TIMEOUT_SECONDS):
        say(line)
    return watcher.lap


def predict(systems: Systems) -> Answer:
    """Send the ten rows, print prediction beside ground truth, return the answer."""
    rows, body = sample_request()
    caller = Caller(systems, body)
    answer = caller.call()
    caller.close()
    say(f"POST /v1/models/{MODEL}:predict  Host: {systems.service_hostname}  ->  {answer.status}")
    predictions = answer.body["predictions"]
    if not isinstance(predictions, list):
        raise LoopFailed(f"unexpected answer: {answer.body}")
    for i, prediction in enumerate(predictions):
        print(f"Ground truth/Predicted: {rows['churn'][str(i)]}/{int(prediction[0])}")
    say(f"answered by model version {answer.version}, revision {answer.revision}, data commit {answer.data_commit}")
    return answer


def show_handover(first: Lap, second: Lap, tally: Tally) -> None:
    """Show that only the new file was trained on, warm-started, and that no request failed meanwhile."""
    if first.version is None or second.version is None or first.version.checkpoint is None:
        raise LoopFailed("a model version is missing")
    metadata = second.version.metadata or {}
    files, rows = metadata.get("files") or [], int(metadata.get("rows") or 0)
    say(f"trained on {', '.join(files)} alone: {rows:,} rows")
    warm, champion = second.trial.get("warmStartCheckpointUuid"), first.version.checkpoint.uuid
    say(
        f"warm-started from checkpoint {warm}" + (" = version 1" if warm == champion else f" (version 1 is {champion})")
    )
    for version, count in sorted(tally.answers.items()):
        say(f"requests answered by version {version}: {count}")
    say(f"requests failed: {len(tally.failures)}   slowest answer: {tally.slowest * 1000:.0f} ms")
    if tally.failures:
        raise LoopFailed(f"requests failed while the version changed, first: {tally.failures[0]}")


def closing(systems: Systems) -> str:
    """Return how to go on."""
    port, host = systems.ingress_port, systems.ingress_host
    return f"""
How to go on
  eval "$(.venv/bin/pdk env)"          points det, kubectl and the SDKs at this stack
  .venv/bin/pdk status                 what runs, what every pipeline did last and why
  .venv/bin/pdk put file {DATA_REPO}@master:mine.csv -f mine.csv
  .venv/bin/det experiment list        kubectl get inferenceservices -n {systems.namespace}
  notebook: sample-data/customer-churn-prediction.ipynb   (ingress {host}:{port}, host {systems.service_hostname})
  pachd {systems.pachd_address}   determined {systems.master_url}   kubernetes {systems.kubernetes.configuration.host}
  .venv/bin/pdk down                   stops everything; data stays in {systems.settings.home}"""


def demonstrate(stack: settings.Settings) -> None:
    """Run both rounds."""
    headline("Start the three servers")
    subprocess.run([sys.executable, "-m", "pdk.cli.main", "up"], check=True)
    systems = connect(stack)
    headline("Prepare projects, repo, secret and pipelines")
    for line in prepare(systems):
        say(line)
    clients.set_project(stack.pachyderm_config, PROJECT)
    headline("Commit data_part1.csv: the first version")
    first = run_lap(systems, SHIPPED / "sample-data" / PARTS[0])
    predict(systems)
    headline("Commit data_part2.csv while a client keeps asking")
    _, body = sample_request()
    with Traffic(systems, body) as traffic:
        second = run_lap(systems, SHIPPED / "sample-data" / PARTS[1])
        answer = predict(systems)
    show_handover(first, second, traffic.tally)
    if answer.data_commit != second.commit_id:
        raise LoopFailed(f"the answer comes from data commit {answer.data_commit}, expected {second.commit_id}")
    laps = dict(zip(PARTS, (first, second), strict=True))
    headline("What each stage took")
    print(report.stage_table(laps))
    headline("One id through all of it")
    print(report.id_table(laps))
    print(closing(systems))


def main() -> None:
    """Parse the (empty) command line and run; expected failures end with one message."""
    argparse.ArgumentParser(prog="scripts/demo", description=__doc__).parse_args()
    try:
        demonstrate(settings.load(os.environ))
    except (LoopFailed, TimeoutError) as error:
        sys.exit(f"\nerror: {error}\nSee: .venv/bin/pdk status")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


if __name__ == "__main__":
    main()
