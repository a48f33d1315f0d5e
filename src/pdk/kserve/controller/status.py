"""`status` of an InferenceService, derived from its revisions: conditions, URLs, traffic, modelStatus.

Called by the reconciler after each pass. Mirrors what KServe's controller copies from a Knative Service (or, in Standard
mode, from a Deployment): while the newest revision fails, Ready is False although an older one goes on serving.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pdk.base import clock
from pdk.kserve.controller.deployment_mode import KNATIVE
from pdk.kserve.controller.view import View
from pdk.kserve.predictor.model_spec import RUNTIME
from pdk.kserve.predictor.revisions import Revision, RevisionState
from pdk.kubernetes.store.metadata import timestamp

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
KNATIVE_ONLY = (
    "PredictorRouteReady",
    "PredictorConfigurationReady",
    "RoutesReady",
    "LatestDeploymentReady",
)
INFORMATIVE = KNATIVE_ONLY
"""Conditions with severity Info: they do not decide Ready by themselves."""
STEPS = {
    RevisionState.PENDING: "is about to be loaded",
    RevisionState.FETCHING: "is fetching its model",
    RevisionState.STARTING: "is loading its model",
    RevisionState.READY: "is ready",
    RevisionState.FAILED: "failed",
}


class Verdict(NamedTuple):
    """The status of a condition, and why it is not True."""

    status: str
    reason: str = ""
    message: str = ""


def build_status(view: View) -> dict[str, Any]:
    """Return the whole status; times of conditions that did not change are taken over from the present one."""
    old = view.isvc.get("status") or {}
    status: dict[str, Any] = {
        "observedGeneration": view.isvc["metadata"].get("generation", 1),
        "deploymentMode": view.addresses.mode,
        "conditions": _with_times(_conditions(view), old.get("conditions") or []),
        "modelStatus": _model_status(view),
        "components": {"predictor": _predictor(view)},
    }
    if view.problem is None or view.latest is not None:
        status["clusterServingRuntimeName"] = RUNTIME
    if view.serving:
        status["url"] = f"http://{view.addresses.host}"
        status["address"] = {"url": f"http://{view.addresses.internal_host}"}
    return status


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the condition of a status, empty when there is none of that type."""
    found: list[Mapping[str, Any]] = status.get("conditions") or []
    return next((each for each in found if each.get("type") == kind), {})


def _conditions(view: View) -> dict[str, Verdict]:
    predictor, route, ingress = _predictor_verdict(view), _route_verdict(view), _ingress_verdict(view)
    verdicts = {"PredictorReady": predictor, "IngressReady": ingress, "Ready": _worst(predictor, ingress)}
    if view.addresses.mode == KNATIVE:
        verdicts |= {
            "PredictorRouteReady": route,
            "RoutesReady": route,
            "PredictorConfigurationReady": predictor,
            "LatestDeploymentReady": predictor,
        }
    if view.stopped:
        verdicts["Stopped"] = Verdict(TRUE if not view.revisions else FALSE)
    return verdicts


def _predictor_verdict(view: View) -> Verdict:
    latest = view.latest
    if view.stopped:
        return Verdict(FALSE, "Stopped", "annotation serving.kserve.io/stop is true")
    if view.problem is not None:
        return Verdict(FALSE, view.problem.reason, str(view.problem))
    if latest is None:
        return Verdict(UNKNOWN, "RevisionMissing", "no revision has been made yet")
    if latest.state is RevisionState.READY:
        return Verdict(TRUE)
    if latest.failure is not None:
        message = f'Revision "{latest.name}" failed with message: {latest.failure.message}.'
        return Verdict(FALSE, "RevisionFailed", message)
    if latest.waiting:
        return Verdict(UNKNOWN, "WaitingForStorage", f'Revision "{latest.name}" waits for its model: {latest.waiting}')
    return Verdict(UNKNOWN, "Deploying", f'Revision "{latest.name}" {STEPS.get(latest.state, "is going")}')


def _route_verdict(view: View) -> Verdict:
    if view.serving_whole:
        return Verdict(TRUE)
    message = f'Configuration "{view.name}-predictor" does not have any ready Revision.'
    return Verdict(FALSE if view.failing or view.stopped else UNKNOWN, "RevisionMissing", message)


def _ingress_verdict(view: View) -> Verdict:
    if view.serving_whole:
        return Verdict(TRUE)
    message = "Target service not ready for ingress creation"
    return Verdict(FALSE if view.failing or view.stopped else UNKNOWN, "ComponentNotReady", message)


def _worst(*verdicts: Verdict) -> Verdict:
    for status in (FALSE, UNKNOWN):
        for verdict in verdicts:
            if verdict.status == status:
                return verdict
    return Verdict(TRUE)


def _with_times(verdicts: Mapping[str, Verdict], old: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    before = {each.get("type"): each for each in old}
    now = timestamp()
    result = []
    for kind, verdict in sorted(verdicts.items()):
        same = before.get(kind, {}).get("status") == verdict.status
        entry = {
            "lastTransitionTime": before[kind].get("lastTransitionTime", now) if same else now,
            "status": verdict.status,
            "type": kind,
        }
        if kind in INFORMATIVE:
            entry["severity"] = "Info"
        entry |= {key: value for key, value in (("reason", verdict.reason), ("message", verdict.message)) if value}
        result.append(entry)
    return result


def _model_status(view: View) -> dict[str, Any]:
    status: dict[str, Any] = {
        "copies": {"failedCopies": 1 if view.failing else 0, "totalCopies": 1},
        "states": {"activeModelState": "Loaded" if view.serving else "", "targetModelState": _target_state(view)},
        "transitionStatus": _transition(view),
    }
    failure = _failure_info(view)
    if failure:
        status["lastFailureInfo"] = failure
    return status


def _target_state(view: View) -> str:
    if view.failing:
        return "FailedToLoad"
    if view.latest is None or view.latest.state is RevisionState.PENDING:
        return "Pending"
    return "Loaded" if view.latest.state is RevisionState.READY else "Loading"


def _transition(view: View) -> str:
    if view.problem is not None:
        return "InvalidSpec"
    if view.failing:
        return "BlockedByFailedLoad"
    return "UpToDate" if view.latest_ready else "InProgress"


def _failure_info(view: View) -> dict[str, Any]:
    if view.problem is not None:
        return {"reason": view.problem.reason, "message": str(view.problem)}
    latest = view.latest
    if latest is None or latest.failure is None:
        return {}
    info: dict[str, Any] = {
        "reason": latest.failure.reason,
        "message": latest.failure.message,
        "modelRevisionName": latest.name,
        "location": latest.pod,
        "time": timestamp(clock.from_rfc3339(latest.failure.time)),
    }
    if latest.failure.exit_code is not None:
        info["exitCode"] = latest.failure.exit_code
    return info


def _predictor(view: View) -> dict[str, Any]:
    if view.addresses.mode != KNATIVE:
        return {"url": f"http://{view.addresses.predictor_host}"} if view.serving else {}
    predictor: dict[str, Any] = {}
    if view.service.last_number:
        predictor["latestCreatedRevision"] = _name(view, view.service.last_number)
    ready = _latest_ready(view)
    if ready is not None:
        predictor["latestReadyRevision"] = ready.name
    for key, number in (
        ("latestRolledoutRevision", view.service.rolled_out),
        ("previousRolledoutRevision", view.service.previous_rolled_out),
    ):
        if number is not None:
            predictor[key] = _name(view, number)
    if view.serving:
        predictor["traffic"] = [_traffic_entry(view, each, percent, ready) for each, percent in view.traffic]
        predictor["url"] = f"http://{view.addresses.predictor_host}"
        predictor["address"] = {"url": f"http://{view.name}-predictor.{view.namespace}.svc.cluster.local"}
    return predictor


def _latest_ready(view: View) -> Revision | None:
    ready = [each for each in view.revisions if each.state is RevisionState.READY]
    return max(ready, key=lambda each: each.number, default=None)


def _traffic_entry(view: View, revision: Revision, percent: int, ready: Revision | None) -> dict[str, Any]:
    latest = ready is not None and revision.number == ready.number
    entry: dict[str, Any] = {"latestRevision": latest, "percent": percent, "revisionName": revision.name}
    if not latest:
        entry["tag"] = "prev"
    return entry


def _name(view: View, number: int) -> str:
    return f"{view.name}-predictor-{number:05d}"
