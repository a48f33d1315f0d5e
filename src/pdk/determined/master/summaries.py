"""Summaries of a trial's metrics: per group and metric its type, count, min, max, mean, sum and last value.

Mirrors the original's summary_metrics: the group "training" is called avg_metrics there, "validation"
validation_metrics. Only metrics whose every value is a number have min to sum; NaN and the infinities come as text and
count as "number".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pdk.determined.store.states import MetricGroup

KEYS: dict[str, str] = {MetricGroup.TRAINING: "avg_metrics", MetricGroup.VALIDATION: "validation_metrics"}
NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def key(group: str) -> str:
    """Return the key of a group in a summary."""
    return KEYS.get(group, group)


def of(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the summary of reports in their order of steps."""
    summary: dict[str, Any] = {}
    for report in reports:
        summary = extended(summary, report)
    return summary


def extended(summary: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary with one more, later report."""
    return {**summary, **{name: _extended(summary.get(name), value) for name, value in report.items()}}


def _extended(present: Mapping[str, Any] | None, value: Any) -> dict[str, Any]:
    kind = _kind(value)
    if present is None:
        present = {"type": kind, "count": 0}
    if kind != present["type"]:
        return {"type": "string", "count": present["count"] + 1, "last": value}
    extended: dict[str, Any] = {"type": kind, "count": present["count"] + 1, "last": value}
    if kind == "number":
        extended.update(_numbers(present, value))
    return extended


def _numbers(present: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """Return min, max, sum and mean over the finite values so far; nothing before the first of them."""
    if value in NOT_FINITE:
        return {name: present[name] for name in ("min", "max", "sum", "mean", "finite") if name in present}
    count = present.get("finite", 0) + 1
    total = present.get("sum", 0) + value
    return {
        "min": min(present.get("min", value), value),
        "max": max(present.get("max", value), value),
        "sum": total,
        "mean": total / count,
        "finite": count,
    }


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float) or value in NOT_FINITE:
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "null" if value is None else "object"
