"""The one error the training job ends with, and patience with a server that is away for a moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import grpc
from determined.common.api import errors

logger = logging.getLogger("train")

T = TypeVar("T")

#: How long to go on while a server cannot be reached.
PATIENCE_SECONDS = 300.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 15.0


class TrainError(RuntimeError):
    """The job cannot go on. ``what`` happened, ``where``, and ``remedy``: what to do about it."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  where: {self.where}\n  what to do: {self.remedy}"


def is_transient(error: Exception) -> bool:
    """Whether a call failed because Determined or Pachyderm was away, and may be made again."""
    if isinstance(error, grpc.Call):
        return bool(error.code() == grpc.StatusCode.UNAVAILABLE)
    if isinstance(error, (errors.MasterNotFoundException, ConnectionError)):
        return True
    if isinstance(error, errors.APIException):
        return bool(error.status_code >= 500 and error.status_code != 501)
    return type(error) is errors.BadRequestException  # time-outs and broken connections; refusals are subclasses


def patiently(action: Callable[[], T], doing: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Do ``action``, again and again while its server is away, and raise its last error after ``seconds``."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return action()
        except (errors.BadRequestException, grpc.RpcError, ConnectionError) as error:
            if not is_transient(error) or time.monotonic() + pause > deadline:
                raise
            logger.warning("%s: no answer, trying again in %.0f s: %s", doing, pause, error)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
