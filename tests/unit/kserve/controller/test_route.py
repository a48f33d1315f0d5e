"""What the ingress is told of an InferenceService."""

from dataclasses import replace
from pathlib import Path

from pdk.kserve.controller.deployment_mode import Addresses
from pdk.kserve.controller.desired import read_desired
from pdk.kserve.controller.plan import RolloutPlan
from pdk.kserve.controller.route import build_backend, build_route
from pdk.kserve.predictor.revisions import Process, Revision, RevisionState, ServiceRow

MODEL = {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://b/m"}
PROCESS = Process("marker", "/t", {"inference": 8080}, 42, 7, ("m", "a"), 10, 120.0)
LOG = Path("/logs/pod/kserve-container.log")
READY = Revision(
    "uid", "default", "churn", 1, "d", {"model": MODEL}, {"pdk/model-version": "7", "pach_id": ""}, "pod", 1,
    state=RevisionState.READY, process=PROCESS,
)  # fmt: skip


def test_a_backend_is_what_the_revision_and_its_process_say():
    backend = build_backend(READY, LOG)
    assert (backend.revision, backend.port, backend.models) == ("churn-predictor-00001", 8080, ("m", "a"))
    assert (backend.max_request_bytes, backend.response_timeout, backend.max_in_flight) == (10, 120.0, 0)
    assert (backend.headers, backend.log) == ((("x-pdk-model-version", "7"),), LOG)


def test_the_spec_limits_time_and_concurrency():
    backend = build_backend(replace(READY, predictor={"model": MODEL, "timeout": 5, "containerConcurrency": 3}), LOG)
    assert (backend.response_timeout, backend.max_in_flight) == (5, 3)


def test_a_route_has_targets_that_are_ready_and_the_models_of_all():
    loading = replace(READY, number=2, state=RevisionState.STARTING, process=replace(PROCESS, models=("z",)))
    desired = read_desired({"metadata": {"name": "churn", "namespace": "default", "uid": "uid"}})
    addresses = Addresses("default", "churn", "example.com")
    row, traffic = ServiceRow("uid", "default", "churn"), ((READY, 80), (loading, 20))
    plan = RolloutPlan(desired, addresses, row, None, (READY, loading), traffic, frozenset(), "why")
    route = build_route(plan, lambda each: Path(each.name))
    assert [(backend.revision, percent) for backend, percent in route.targets] == [("churn-predictor-00001", 80)]
    assert route.targets[0][0].log == Path("churn-predictor-00001")
    assert (route.key, route.models, route.reason) == ("default/churn", ("a", "m", "z"), "why")
    assert route.hosts == addresses.hosts
    assert build_route(replace(plan, traffic=((READY, 0),)), lambda each: LOG).targets == ()
    assert build_backend(loading, LOG) is None
