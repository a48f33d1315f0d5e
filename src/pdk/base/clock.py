"""Time as the wire wants it: aware UTC datetimes and RFC 3339 text."""

import datetime


def now() -> datetime.datetime:
    """Return the present time, UTC, aware, microsecond resolution."""
    return datetime.datetime.now(datetime.UTC)


def to_rfc3339(moment: datetime.datetime) -> str:
    """Format an aware datetime as `2024-01-02T03:04:05.678901Z`."""
    text = moment.astimezone(datetime.UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def from_rfc3339(text: str) -> datetime.datetime:
    """Parse RFC 3339 text, nanoseconds cut to microseconds; raise ValueError when it is not a time with a zone."""
    head, dot, tail = text.partition(".")
    if dot:
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        text = f"{head}.{digits[:6]}{tail[len(digits) :]}"
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(datetime.UTC)


def rfc3339_now() -> str:
    """Return `now()` as RFC 3339 text."""
    return to_rfc3339(now())
