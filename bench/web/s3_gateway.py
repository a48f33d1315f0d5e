"""The S3 gateway, beside that of another checkout: one object of 100 MB, a thousand of one kilobyte, HEAD and lists.

    python bench/web/s3_gateway.py --against ../before [--rounds 7]

Each gateway runs in a process of its own over the same data. Rounds alternate; the table shows the median seconds of
each
and the median of the rounds' ratios (below 1: the present one is faster). `--serve` is how the processes are started.
"""

import argparse
import http.client
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from pdk.db.database import Database
from pdk.pachyderm.api.admin import AdminService
from pdk.pachyderm.api.files import FileService
from pdk.pachyderm.api.pfs import PfsService
from pdk.pachyderm.api.s3 import S3Gateway
from pdk.pachyderm.api.server import PachdServer, methods_of
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.store.pfs_schema import MIGRATIONS
from pdk.reconcile.changes import Changes
from pdk.storage.filesets import FileSetStorage

ROOT = Path(__file__).resolve().parents[2]
LARGE_BYTES = 100 << 20
SMALL_OBJECTS = 1000


def serve(root: Path) -> None:
    """Serve a pachd over `root`, filled, until standard input ends; print the gateway's port."""
    database = Database(root / "pachd.db", MIGRATIONS)
    storage = FileSetStorage(root / "storage", database)
    changes = Changes()
    engine, wire = Pfs(database, storage, changes), Wire()
    services = [AdminService(wire, "bench"), PfsService(wire, engine), FileService(wire, engine)]
    server = PachdServer(wire, map(methods_of, services), changes)
    gateway = S3Gateway(engine)
    server.start()
    gateway.start()
    client = Client(host="127.0.0.1", port=server.port)
    client.pfs.create_repo(repo=pfs.Repo.from_uri("data"))
    with client.pfs.commit(branch=pfs.Branch.from_uri("data@master")) as commit:
        commit.put_file_from_bytes(path="/large", data=random.Random(1).randbytes(LARGE_BYTES))
        for number in range(SMALL_OBJECTS):
            commit.put_file_from_bytes(path=f"/small/{number:04}", data=b"%04d" % number * 256)
    print(gateway.port, flush=True)
    sys.stdin.read()
    gateway.stop()
    server.stop()


def get(connection: http.client.HTTPConnection, path: str, method: str = "GET") -> int:
    """Return how many bytes the body of an answer has."""
    connection.request(method, path)
    response = connection.getresponse()
    assert response.status == 200, (path, response.status)
    size = 0
    while piece := response.read(1 << 20):
        size += len(piece)
    return size


def large(connection: http.client.HTTPConnection) -> None:
    """GET the large object."""
    assert get(connection, "/data/large") == LARGE_BYTES


def small(connection: http.client.HTTPConnection) -> None:
    """GET every small object."""
    for number in range(SMALL_OBJECTS):
        assert get(connection, f"/data/small/{number:04}") == 1024


def head(connection: http.client.HTTPConnection) -> None:
    """HEAD every small object."""
    for number in range(SMALL_OBJECTS):
        assert get(connection, f"/data/small/{number:04}", "HEAD") == 0


def lists(connection: http.client.HTTPConnection) -> None:
    """List the thousand keys ten times."""
    for _ in range(10):
        assert get(connection, "/data?list-type=2&prefix=small/") > 100 * SMALL_OBJECTS


WORKS: tuple[Callable[[http.client.HTTPConnection], None], ...] = (large, small, head, lists)


def measure(ports: list[int], rounds: int) -> dict[str, list[list[float]]]:
    """Return the seconds of each work, by gateway and round."""
    seconds: dict[str, list[list[float]]] = {work.__name__: [[] for _ in ports] for work in WORKS}
    for turn in range(rounds + 1):
        for work in WORKS:
            for which in sorted(range(len(ports)), reverse=turn % 2 == 0):
                connection = http.client.HTTPConnection("127.0.0.1", ports[which], timeout=60)
                began = time.perf_counter()
                work(connection)
                if turn:  # the first round warms up
                    seconds[work.__name__][which].append(time.perf_counter() - began)
                connection.close()
    return seconds


def main() -> None:
    """Start both, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--serve", type=Path)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    children, ports = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as base:
        for checkout in [*([args.against.resolve()] if args.against else []), ROOT]:
            folder = Path(base, str(len(children)))
            folder.mkdir()
            child = subprocess.Popen(
                [sys.executable, __file__, "--serve", folder],
                cwd=checkout,
                env=os.environ | {"PYTHONPATH": str(checkout / "src")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            children.append(child)
            ports.append(int(child.stdout.readline()))
        for work, times in measure(ports, args.rounds).items():
            medians = "  ".join(f"{statistics.median(each):7.3f} s" for each in times)
            ratio = statistics.median(new / old for old, new in zip(times[0], times[-1], strict=True))
            print(f"{work:6}  {medians}  ratio {ratio:.2f}")
        for child in children:
            child.communicate()


if __name__ == "__main__":
    main()
