"""Answers from blocking iterators: in order, read ahead, and closed whatever ends them."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pdk.web.answers import json_answer, on_threads


class Source:
    """Pieces from a generator that says when it was closed and on which thread it ran."""

    def __init__(self, pieces, failure=None):
        self.closed = threading.Event()
        self.threads = set()
        self._pieces, self._failure = pieces, failure

    def read(self):
        try:
            for piece in self._pieces:
                self.threads.add(threading.current_thread().name)
                yield piece
            if self._failure:
                raise self._failure
        finally:
            self.closed.set()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2, "reading") as threads:
        yield threads


def test_pieces_come_in_order_from_other_threads(threads):
    source = Source([b"%d" % number for number in range(50)])

    async def main():
        return [piece async for piece in on_threads(threads, source.read())]

    assert asyncio.run(main()) == [b"%d" % number for number in range(50)]
    assert source.closed.is_set()
    assert all(name.startswith("reading") for name in source.threads)
    assert asyncio.run(main()) == [b"%d" % number for number in range(50)]


def test_what_goes_wrong_is_raised_after_the_pieces_before_it(threads):
    found = []

    async def main():
        async for piece in on_threads(threads, Source([b"1"], OSError("gone")).read()):
            found.append(piece)

    with pytest.raises(OSError, match="gone"):
        asyncio.run(main())
    assert found == [b"1"]


def test_who_stops_in_the_middle_of_a_step_closes_the_source_after_it(threads):
    release = threading.Event()

    def slow():
        yield b"first"
        release.wait(20)
        yield b"second"

    source = Source(slow())

    async def main():
        pieces = on_threads(threads, source.read())
        waiting = asyncio.create_task(anext(pieces))
        assert await waiting == b"first"
        waiting = asyncio.create_task(anext(pieces))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        assert not source.closed.is_set()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert source.closed.is_set()


def test_json():
    answer = json_answer({"a": 1}, 201)
    assert (answer.status_code, answer.body) == (201, b'{"a":1}')
    assert answer.headers["content-type"] == "application/json"
