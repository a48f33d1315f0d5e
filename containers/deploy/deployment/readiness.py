"""Is the new revision the one that serves? Decisions on an InferenceService's status, without doing anything.

Called by `rollout.py`. `Ready=True` alone does not answer it: after an update it stays True, from the old revision,
until the controller has looked. So the state before the write is remembered, and only a revision other than that one
counts (Knative mode; in Standard mode there are no revision names and the data plane has the last word).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FAILED_TRANSITIONS = ("BlockedByFailedLoad", "InvalidSpec")


@dataclass(frozen=True)
class Baseline:
    """What the status said before this rollout; `written` is False if there was nothing to write (the same job again).

    All None for a service that did not exist.
    """

    written: bool
    created_revision: str | None = None
    transition: str | None = None
    failure: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Pending:
    """Not yet; `reason` says what is missing."""

    reason: str


@dataclass(frozen=True)
class Failed:
    """It will not become ready by itself."""

    reason: str


@dataclass(frozen=True)
class Ready:
    """The control plane says that the new revision serves. `revision` is None in Standard mode."""

    revision: str | None
    url: str | None
    internal_url: str | None = field(default=None)


def baseline(live: Mapping[str, Any] | None, *, written: bool) -> Baseline:
    """Remember the state before the write."""
    status = (live or {}).get("status") or {}
    model = status.get("modelStatus") or {}
    created, _ = _revisions(status)
    return Baseline(written, created, model.get("transitionStatus"), model.get("lastFailureInfo"))


def judge(live: Mapping[str, Any], before: Baseline, *, settled: bool) -> Pending | Failed | Ready:
    """Judge a freshly read InferenceService.

    `settled` says that the controller has had time to look, so that a failure which reads exactly like the one before
    the write counts as a new one.
    """
    status = live.get("status") or {}
    failure = _failure(status, before, settled=settled)
    if failure is not None:
        return failure
    for reason in (_not_new(status, before), _not_ready(status), _not_loaded(status)):
        if reason:
            return Pending(reason)
    created, _ = _revisions(status)
    return Ready(created, status.get("url"), (status.get("address") or {}).get("url"))


def conditions(live: Mapping[str, Any]) -> list[str]:
    """Give the conditions as text, one per line."""
    found = (live.get("status") or {}).get("conditions") or []
    return [
        " ".join(filter(None, (f"{item.get('type')}={item.get('status')}", item.get("reason"), item.get("message"))))
        for item in found
    ]


def _failure(status: Mapping[str, Any], before: Baseline, *, settled: bool) -> Failed | None:
    model = status.get("modelStatus") or {}
    transition, failure = model.get("transitionStatus"), model.get("lastFailureInfo")
    created, _ = _revisions(status)
    moved = (created, transition, failure) != (before.created_revision, before.transition, before.failure)
    if transition in FAILED_TRANSITIONS and (moved or settled):
        return Failed(f"{transition}: {_failure_text(failure)}")
    if failure and failure != before.failure and before.written:
        return Failed(_failure_text(failure))
    return None


def _not_new(status: Mapping[str, Any], before: Baseline) -> str | None:
    created, ready = _revisions(status)
    if created is None and ready is None:
        return None  # Standard mode, or nothing yet: the conditions and the probe decide
    if before.written and created == before.created_revision:
        return f"the controller has not made a new revision yet (latest is {created})"
    if created != ready:
        return f"revision {created} is not ready yet (ready is {ready})"
    return None


def _not_ready(status: Mapping[str, Any]) -> str | None:
    found = {item.get("type"): item for item in status.get("conditions") or []}
    ready = found.get("Ready")
    if ready is None:
        return "the controller has not reported yet"
    if ready.get("status") == "True":
        return None
    words = [str(ready[key]) for key in ("reason", "message") if ready.get(key)]
    return f"Ready is {ready.get('status')}" + (f" ({': '.join(words)})" if words else "")


def _not_loaded(status: Mapping[str, Any]) -> str | None:
    model = status.get("modelStatus") or {}
    transition = model.get("transitionStatus")
    if transition == "UpToDate":
        return None
    state = (model.get("states") or {}).get("targetModelState")
    return f"the model is not up to date (transition {transition}, target {state})"


def _revisions(status: Mapping[str, Any]) -> tuple[str | None, str | None]:
    predictor = (status.get("components") or {}).get("predictor") or {}
    return predictor.get("latestCreatedRevision"), predictor.get("latestReadyRevision")


def _failure_text(failure: Mapping[str, Any] | None) -> str:
    if not failure:
        return "the controller gives no reason"
    return ", ".join(f"{key} {value}" for key, value in failure.items() if value not in (None, ""))
