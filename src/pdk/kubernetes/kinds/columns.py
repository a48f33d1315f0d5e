"""A column of `kubectl get`, and how its cells are made.

Used by the kinds; `tables.py` prints them. Mirrors kube-apiserver's pkg/printers and kubectl's own durations.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pdk.base import clock
from pdk.kubernetes.kinds.json_object import JsonObject


@dataclass(frozen=True)
class Column:
    """One column: its title, how to get the cell, its type, and whether only `-o wide` shows it."""

    name: str
    cell: Callable[[JsonObject], Any]
    type: str = "string"
    wide: bool = False
    format: str = ""
    # JSONPath, for the CRD objects.
    path: str = ""


def human_duration(seconds: float) -> str:
    """Return a duration as kubectl shows it: 119s, 9m5s, 3h10m, 5d2h, 2y10d."""
    total = int(seconds)
    if total < 0:
        return "0s" if total >= -1 else "<invalid>"
    minutes, hours, days = total // 60, total // 3600, total // 86400
    for limit, unit, big, rest_unit, rest in (
        (120, "s", total, "", 0),
        (600, "m", minutes, "s", total % 60),
        (3 * 3600, "m", minutes, "", 0),
        (8 * 3600, "h", hours, "m", minutes % 60),
        (48 * 3600, "h", hours, "", 0),
        (8 * 86400, "d", days, "h", hours % 24),
        (2 * 365 * 86400, "d", days, "", 0),
        (8 * 365 * 86400, "y", days // 365, "d", days % 365),
    ):
        if total < limit:
            return f"{big}{unit}" + (f"{rest}{rest_unit}" if rest else "")
    return f"{days // 365}y"


def age(timestamp: str | None) -> str:
    """Return how long ago an RFC 3339 time was, in kubectl's form."""
    if not timestamp:
        return "<unknown>"
    try:
        moment = clock.from_rfc3339(timestamp)
    except ValueError:
        return "<unknown>"
    return human_duration((clock.now() - moment) / datetime.timedelta(seconds=1))


def _age_of(obj: JsonObject) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


NAME = Column("Name", lambda obj: obj["metadata"]["name"], format="name")
AGE = Column("Age", _age_of, path=".metadata.creationTimestamp")
# The age column of a CRD.
CRD_AGE = Column("Age", _age_of, type="date", path=".metadata.creationTimestamp")


def at(obj: Any, *steps: str) -> Any:
    """Return what is at the end of a path of field names, None when there is nothing."""
    for step in steps:
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def or_none(*steps: str) -> Callable[[JsonObject], Any]:
    """Return a cell: what is at a path, `<none>` when there is nothing."""
    return lambda obj: at(obj, *steps) or "<none>"


def number(*steps: str) -> Callable[[JsonObject], int]:
    """Return a cell: the number at a path, 0 when there is none."""
    return lambda obj: int(at(obj, *steps) or 0)


def count(*fields: str) -> Callable[[JsonObject], int]:
    """Return a cell: how many entries the fields have together."""
    return lambda obj: sum(len(obj.get(field) or ()) for field in fields)


def selector(*steps: str) -> Callable[[JsonObject], str]:
    """Return a cell: the labels at a path as `key=value,...`."""

    def cell(obj: JsonObject) -> str:
        labels = at(obj, *steps) or {}
        return ",".join(f"{key}={labels[key]}" for key in sorted(labels)) or "<none>"

    return cell
