"""Keeps what the Determined SDK prints for people at a terminal out of the job's log.

It redraws a progress line for every file it uploads, and warns about short passwords at every login: in a log that
is read for the reason of a failure both are noise. They are logged at debug level instead.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator

logger = logging.getLogger("train.sdk")


@contextlib.contextmanager
def captured() -> Iterator[None]:
    """Catch what is printed while the context lasts. The job has one thread, and its log handler its own stream."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    finally:
        for line in printed.getvalue().replace("\r", "\n").splitlines():
            if line.strip():
                logger.debug("%s", line.strip())
