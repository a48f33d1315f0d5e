"""Answers: JSON, lines of JSON, and streams that end with their client."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import Executor
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pdk.web.json_text import compact

JSON_TYPE = "application/json"


def json_answer(value: Any, status: int = 200) -> Response:
    """Return a value as a JSON answer. Raises ValueError for NaN."""
    return Response(compact(value), status, media_type=JSON_TYPE)


class Stream(StreamingResponse):
    """An answer whose end is not known when it starts; when its client goes, its generator is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces until there are no more or the client goes."""
        sending = asyncio.create_task(self.stream_response(send))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            for task in (sending, leaving):
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            close = getattr(self.body_iterator, "aclose", None)
            if close is not None:
                await close()


async def on_threads(threads: Executor, pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield what a blocking iterator yields, each step on one of the threads; in the end the iterator is closed."""
    loop = asyncio.get_running_loop()
    step = loop.run_in_executor(threads, next, pieces, None)
    try:
        while (piece := await asyncio.shield(step)) is not None:
            # The next one is read while this one is sent.
            step = loop.run_in_executor(threads, next, pieces, None)
            yield piece
    finally:
        # A step that is under way when the client goes cannot be broken off, and a running generator not be closed.
        await asyncio.wait({step})
        if isinstance(pieces, Generator):
            await loop.run_in_executor(threads, pieces.close)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
