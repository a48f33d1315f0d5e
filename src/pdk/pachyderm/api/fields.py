"""What protobuf messages have and the SDK's classes, as which `wire.py` types them, have not.

Used by the servicers and by what translates messages for them.
"""

import datetime
from collections.abc import Callable
from typing import Any, TypeVar, cast

M = TypeVar("M")
T = TypeVar("T")


def has(message: Any, name: str) -> bool:
    """Tell whether a sub-message is there, perhaps empty."""
    return bool(message.HasField(name))


def is_empty(message: Any) -> bool:
    """Tell whether a message has nothing in it."""
    return not message.ByteSize()


def which(message: Any, group: str) -> str | None:
    """Return the name of the field of a oneof that is set."""
    name: str | None = message.WhichOneof(group)
    return name


def wrapped(message: Any, name: str) -> bytes:
    """Return what a BytesValue field holds."""
    value: bytes = getattr(message, name).value
    return value


def maybe(make: Callable[[T], M], value: T | None) -> M:
    """Return the message made of a value, or the None that protobuf takes for a sub-message that is not there."""
    return make(value) if value is not None else cast("M", None)


def time_of(message: Any, name: str) -> datetime.datetime | None:
    """Return a Timestamp field as an aware datetime, None when it is not there."""
    moment: datetime.datetime | None = getattr(message, name).ToDatetime(datetime.UTC) if has(message, name) else None
    return moment


def set_time(message: Any, name: str, moment: datetime.datetime | None) -> None:
    """Set a Timestamp field; None leaves it away."""
    if moment is not None:
        getattr(message, name).FromDatetime(moment)


def set_seconds(message: Any, name: str, seconds: float) -> None:
    """Set a Duration field."""
    getattr(message, name).FromTimedelta(datetime.timedelta(seconds=seconds))


def seconds_of(message: Any, name: str) -> float:
    """Return a Duration field in seconds, 0 when it is not there."""
    seconds: float = getattr(message, name).ToTimedelta().total_seconds()
    return seconds


def keep(message: Any, *names: str) -> None:
    """Let sub-messages be there even when nothing is in them."""
    for name in names:
        getattr(message, name).SetInParent()
