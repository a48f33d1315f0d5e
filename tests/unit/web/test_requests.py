"""What a request is read into: its path as it was sent, its body within a limit."""

import asyncio

import pytest
from starlette.datastructures import Headers

from pdk.web.requests import BodyTooLarge, ClientGone, raw_path_of, read_body


def read(*messages, announced=None, limit=10):
    left = list(messages)

    async def receive():
        return left.pop(0)

    headers = Headers({} if announced is None else {"content-length": announced})
    return asyncio.run(read_body(receive, headers, limit)), left


def part(body, more=False):
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_is_read_to_its_end_and_not_further():
    assert read(part(b"01234", True), part(b"56789"), part(b"next")) == (b"0123456789", [part(b"next")])
    assert read(part(b"ok"), announced="2") == (b"ok", [])
    assert read(part(b"ok"), announced="two") == (b"ok", [])


def test_a_body_over_the_limit_is_refused_as_soon_as_that_is_known():
    with pytest.raises(BodyTooLarge):
        read(announced="11")
    with pytest.raises(BodyTooLarge):
        read(part(b"012345", True), part(b"67890", True))


def test_a_client_that_goes_in_the_middle_is_not_answered():
    with pytest.raises(ClientGone):
        read(part(b"01", True), {"type": "http.disconnect"})


def test_a_path_stays_as_it_was_sent():
    assert raw_path_of({"raw_path": b"/a%2Fb?x=1", "path": "/a/b"}) == b"/a%2Fb"
    assert raw_path_of({"path": "/a"}) == b"/a"
