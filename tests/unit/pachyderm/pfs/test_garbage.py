import time

from pdk.pachyderm.pfs.garbage import garbage_collector
from pdk.pachyderm.pfs.types import CommitHandle
from pdk.pachyderm.values import Repo


def test_the_loop_collects_when_it_starts(pfs, do):
    do.repo("a")
    kept = do.put("a", x=bytes(range(256)) * 1000)
    writer = pfs.modify_file(CommitHandle(Repo("default", "a"), branch="master"))
    writer.put("/y", [bytes(range(255)) * 1000])
    writer._changes.sync()
    writer.abort()
    before = len(list(pfs.storage.chunks.list_large()))
    loop = garbage_collector(pfs)
    loop.start()
    deadline = time.monotonic() + 20
    while len(list(pfs.storage.chunks.list_large())) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    loop.stop()
    assert len(list(pfs.storage.chunks.list_large())) < before
    assert do.read(kept) == {"/x": bytes(range(256)) * 1000}
