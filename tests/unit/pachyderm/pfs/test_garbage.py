from waiting import wait_until

from pdk.pachyderm.pfs.garbage import garbage_collector
from pdk.storage.writer import FileSetWriter


def test_the_loop_collects_when_it_starts(pfs, do):
    do.repo("a")
    kept = do.put("a", x=bytes(range(256)) * 1000)
    given_up = FileSetWriter(pfs.storage)
    given_up.append("/y", bytes(range(255)) * 1000, "default")
    given_up.sync()
    given_up.close()
    before = len(list(pfs.storage.chunks.list_large()))
    loop = garbage_collector(pfs)
    loop.start()
    wait_until(lambda: len(list(pfs.storage.chunks.list_large())) < before)
    loop.stop()
    assert do.read(kept) == {"/x": bytes(range(256)) * 1000}
