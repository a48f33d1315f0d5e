"""Answers: JSON, lines of JSON, and streams that end with their client."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pdk.web.json_text import compact

JSON_TYPE = "application/json"


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a value as a JSON answer. Raises ValueError for NaN."""
    return Response(compact(value), status, headers, JSON_TYPE)


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


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
