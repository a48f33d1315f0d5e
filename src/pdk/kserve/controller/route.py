"""The entry of an InferenceService in the routing table, derived from its revisions."""

from collections.abc import Callable
from pathlib import Path

from pdk.kserve.controller.plan import RolloutPlan
from pdk.kserve.predictor.model_spec import parse_model_spec
from pdk.kserve.predictor.revisions import Revision, RevisionState
from pdk.kserve.predictor.routes import Backend, ServiceRoute

# Response header -> annotation of the InferenceService.
VERSION_HEADERS = {
    "x-pdk-model-version": "pdk/model-version",
    "x-pdk-data-commit": "pdk/data-commit",
    "x-pdk-job": "pach_id",
}


def build_route(plan: RolloutPlan, log_of: Callable[[Revision], Path]) -> ServiceRoute:
    """Return the entry that sends requests where the plan says; `log_of` names the log of a revision's TorchServe."""
    targets = ((build_backend(revision, log_of(revision)), percent) for revision, percent in plan.traffic if percent)
    models = {model for each in plan.revisions if each.process is not None for model in each.process.models}
    return ServiceRoute(
        namespace=plan.desired.namespace,
        name=plan.desired.name,
        hosts=plan.addresses.hosts,
        targets=tuple((backend, percent) for backend, percent in targets if backend is not None),
        models=tuple(sorted(models)),
        reason=plan.reason,
    )


def build_backend(revision: Revision, log: Path) -> Backend | None:
    """Return where requests for a READY revision go, None when it is not ready."""
    process = revision.process
    if revision.state is not RevisionState.READY or process is None:
        return None
    spec = parse_model_spec(revision.predictor)
    values = ((header, revision.annotations.get(key, "")) for header, key in VERSION_HEADERS.items())
    return Backend(
        revision=revision.name,
        port=process.ports["inference"],
        models=process.models,
        headers=tuple((header, value) for header, value in values if value),
        max_request_bytes=process.max_request_bytes,
        response_timeout=spec.timeout or process.response_timeout,
        max_in_flight=spec.concurrency,
        log=log,
    )
