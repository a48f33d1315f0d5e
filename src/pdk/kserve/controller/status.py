"""`status` of an InferenceService, derived from its revisions: conditions, URLs, traffic, modelStatus.

Called after each pass. Mirrors what KServe's controller copies from a Knative Service (or, in Standard
mode, from a Deployment): while the newest revision fails, Ready is False although an older one goes on serving.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pdk.base import clock
from pdk.kserve.controller.plan import STEPS, RolloutPlan
from pdk.kserve.controller.wire import (
    Condition,
    ConditionReason,
    ConditionType,
    FailureInfo,
    Holds,
    ModelState,
    ModelStatus,
    PredictorStatus,
    ServiceStatus,
    TransitionStatus,
)
from pdk.kserve.kinds.names import TORCHSERVE, DeploymentMode
from pdk.kserve.predictor.failures import FailureReason
from pdk.kserve.predictor.revisions import RevisionState, revision_name
from pdk.kubernetes.store.metadata import timestamp

# Only there with Knative, and of severity Info: they do not decide Ready by themselves.
KNATIVE_ONLY = frozenset(
    {
        ConditionType.PREDICTOR_ROUTE_READY,
        ConditionType.PREDICTOR_CONFIGURATION_READY,
        ConditionType.ROUTES_READY,
        ConditionType.LATEST_DEPLOYMENT_READY,
    }
)


class Verdict(NamedTuple):
    """The status of a condition, and why it is not True."""

    status: Holds
    reason: ConditionReason | FailureReason | None = None
    message: str = ""


def build_status(plan: RolloutPlan) -> ServiceStatus:
    """Return the whole status; times of conditions that did not change are taken over from the present one."""
    desired, addresses = plan.desired, plan.addresses
    status: ServiceStatus = {
        "observedGeneration": desired.generation,
        "deploymentMode": desired.mode,
        "conditions": _with_times(_verdicts(plan), desired.status),
        "modelStatus": _model_status(plan),
        "components": {"predictor": _predictor(plan)},
    }
    if desired.problem is None:
        status["clusterServingRuntimeName"] = TORCHSERVE
    if plan.traffic:
        status["url"] = f"http://{addresses.host}"
        status["address"] = {"url": f"http://{addresses.internal_host}"}
    return status


def condition(status: ServiceStatus, kind: ConditionType) -> Condition:
    """Return the condition of a status, empty when there is none of that type."""
    return next((each for each in status.get("conditions") or [] if each.get("type") == kind), Condition())


def _verdicts(plan: RolloutPlan) -> dict[ConditionType, Verdict]:
    predictor = _predictor_verdict(plan)
    no_revision = f'Configuration "{plan.desired.name}-predictor" does not have any ready Revision.'
    route = _route_verdict(plan, ConditionReason.REVISION_MISSING, no_revision)
    ingress = _route_verdict(plan, ConditionReason.COMPONENT_NOT_READY, "Target service not ready for ingress creation")
    verdicts = {
        ConditionType.PREDICTOR_READY: predictor,
        ConditionType.INGRESS_READY: ingress,
        ConditionType.READY: _worst(predictor, ingress),
    }
    if plan.desired.mode is DeploymentMode.KNATIVE:
        verdicts |= dict.fromkeys((ConditionType.PREDICTOR_ROUTE_READY, ConditionType.ROUTES_READY), route)
        verdicts |= dict.fromkeys(
            (ConditionType.PREDICTOR_CONFIGURATION_READY, ConditionType.LATEST_DEPLOYMENT_READY), predictor
        )
    if plan.desired.stopped:
        gone = not plan.revisions
        verdicts[ConditionType.STOPPED] = Verdict(Holds.TRUE if gone else Holds.FALSE)
    return verdicts


def _predictor_verdict(plan: RolloutPlan) -> Verdict:
    latest, problem = plan.latest, plan.desired.problem
    if plan.desired.stopped:
        return Verdict(Holds.FALSE, ConditionReason.STOPPED, "annotation serving.kserve.io/stop is true")
    if problem is not None:
        return Verdict(Holds.FALSE, problem.reason, str(problem))
    if latest is None:
        return Verdict(Holds.UNKNOWN, ConditionReason.REVISION_MISSING, "no revision has been made yet")
    if plan.latest_ready:
        return Verdict(Holds.TRUE)
    revision = f'Revision "{latest.name}"'
    if latest.failure is not None:
        message = f"{revision} failed with message: {latest.failure.message}."
        return Verdict(Holds.FALSE, ConditionReason.REVISION_FAILED, message)
    if latest.waiting:
        message = f"{revision} waits for its model: {latest.waiting}"
        return Verdict(Holds.UNKNOWN, ConditionReason.WAITING_FOR_STORAGE, message)
    return Verdict(Holds.UNKNOWN, ConditionReason.DEPLOYING, f"{revision} {STEPS[latest.state]}")


def _route_verdict(plan: RolloutPlan, reason: ConditionReason, message: str) -> Verdict:
    if plan.serving_whole:
        return Verdict(Holds.TRUE)
    hopeless = plan.failing or plan.desired.stopped
    return Verdict(Holds.FALSE if hopeless else Holds.UNKNOWN, reason, message)


def _worst(*verdicts: Verdict) -> Verdict:
    order = [Holds.FALSE, Holds.UNKNOWN, Holds.TRUE]
    return min(verdicts, key=lambda each: order.index(each.status))


def _with_times(verdicts: Mapping[ConditionType, Verdict], old: ServiceStatus) -> list[Condition]:
    now = timestamp()
    result = []
    for kind, verdict in sorted(verdicts.items()):
        before = condition(old, kind)
        same = before.get("status") == verdict.status
        entry: Condition = {
            "lastTransitionTime": before.get("lastTransitionTime", now) if same else now,
            "status": verdict.status,
            "type": kind,
        }
        if kind in KNATIVE_ONLY:
            entry["severity"] = "Info"
        if verdict.reason is not None:
            entry["reason"] = verdict.reason
        if verdict.message:
            entry["message"] = verdict.message
        result.append(entry)
    return result


def _model_status(plan: RolloutPlan) -> ModelStatus:
    active: ModelState | Literal[""] = ModelState.LOADED if plan.traffic else ""
    status: ModelStatus = {
        "copies": {"failedCopies": 1 if plan.failing else 0, "totalCopies": 1},
        "states": {"activeModelState": active, "targetModelState": _target_state(plan)},
        "transitionStatus": _transition(plan),
    }
    failure = _failure_info(plan)
    if failure is not None:
        status["lastFailureInfo"] = failure
    return status


def _target_state(plan: RolloutPlan) -> ModelState:
    if plan.failing:
        return ModelState.FAILED_TO_LOAD
    if plan.latest is None or plan.latest.state is RevisionState.PENDING:
        return ModelState.PENDING
    return ModelState.LOADED if plan.latest_ready else ModelState.LOADING


def _transition(plan: RolloutPlan) -> TransitionStatus:
    if plan.desired.problem is not None:
        return TransitionStatus.INVALID_SPEC
    if plan.failing:
        return TransitionStatus.BLOCKED_BY_FAILED_LOAD
    return TransitionStatus.UP_TO_DATE if plan.latest_ready else TransitionStatus.IN_PROGRESS


def _failure_info(plan: RolloutPlan) -> FailureInfo | None:
    problem, latest = plan.desired.problem, plan.latest
    if problem is not None:
        return {"reason": problem.reason, "message": str(problem)}
    if latest is None or latest.failure is None:
        return None
    info: FailureInfo = {
        "reason": latest.failure.reason,
        "message": latest.failure.message,
        "modelRevisionName": latest.name,
        "location": latest.pod,
        "time": timestamp(clock.from_rfc3339(latest.failure.time)),
    }
    if latest.failure.exit_code is not None:
        info["exitCode"] = latest.failure.exit_code
    return info


def _predictor(plan: RolloutPlan) -> PredictorStatus:
    desired, service = plan.desired, plan.service
    predictor: PredictorStatus = {"url": f"http://{plan.addresses.predictor_host}"} if plan.traffic else {}
    if desired.mode is not DeploymentMode.KNATIVE:
        return predictor
    if service.last_number:
        predictor["latestCreatedRevision"] = revision_name(desired.name, service.last_number)
    ready = [each for each in plan.revisions if each.state is RevisionState.READY]
    newest = max(ready, key=lambda each: each.number, default=None)
    if newest is not None:
        predictor["latestReadyRevision"] = newest.name
    if service.rolled_out is not None:
        predictor["latestRolledoutRevision"] = revision_name(desired.name, service.rolled_out)
    if service.previous_rolled_out is not None:
        predictor["previousRolledoutRevision"] = revision_name(desired.name, service.previous_rolled_out)
    for revision, percent in plan.traffic:
        target = {"latestRevision": revision == newest, "percent": percent, "revisionName": revision.name}
        predictor.setdefault("traffic", []).append(target if revision == newest else target | {"tag": "prev"})
        predictor["address"] = {"url": f"http://{desired.name}-predictor.{desired.namespace}.svc.cluster.local"}
    return predictor
