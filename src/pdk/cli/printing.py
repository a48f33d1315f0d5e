"""Tables, ages, sizes and states as pachctl prints them."""

import datetime
from collections.abc import Sequence

from pdk.base import clock

UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns under upper-case headings, without trailing blanks."""
    lines = [[h.upper() for h in header], *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def age(moment: datetime.datetime | None) -> str:
    """Return how long ago `moment` was, `-` for none: `12s`, `3m`, `2h`."""
    if not is_set(moment) or moment is None:
        return "-"
    return span((clock.now() - moment).total_seconds()) + " ago"


def span(seconds: float) -> str:
    """Return a duration with one unit, `0.4s` below ten seconds."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    size, unit = next((size, unit) for size, unit in UNITS if seconds >= size)
    return f"{int(seconds // size)}{unit}"


def is_set(moment: datetime.datetime | None) -> bool:
    """Tell a real time from the zero time the SDK decodes an absent timestamp to."""
    return moment is not None and moment.timestamp() > 0


def duration(started: datetime.datetime | None, finished: datetime.datetime | None) -> str:
    """Return the time between two moments, until now when the second is not set, `-` when the first is not."""
    if started is None or not is_set(started):
        return "-"
    end = finished if finished is not None and is_set(finished) else clock.now()
    return span((end - started).total_seconds())


def size(count: int) -> str:
    """Return a byte count with a binary unit: `23.1MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.1f}{unit}"
        value /= 1024
    raise AssertionError("unreachable")


def state(name: str) -> str:
    """Return a state as pachctl shows it: JOB_SUCCESS -> success, PIPELINE_STANDBY -> standby."""
    for prefix in ("JOB_", "PIPELINE_"):
        name = name.removeprefix(prefix)
    return name.lower()
