"""Every answer holds every key the client's own bindings require or know, in types they can read."""

import ast
import importlib.util
import inspect
import json
import re
from pathlib import Path

import pytest
import yaml
from determined.common.api import bindings
from determined_page import shape

from pdk.determined.api.app import HANDLERS
from pdk.determined.api.call import RestCall
from pdk.determined.master.master import Master
from pdk.determined.master.settings import MasterSettings
from pdk.determined.master.transitions import Transitions
from pdk.determined.master.users import Caller
from pdk.determined.store.schema import open_database
from pdk.web.routing import routes_of

UUID = "00000001-0000-4000-8000-000000000000"


def response_types():
    """(method, path) to the name of the type the client reads the answer as."""
    folder = Path(importlib.util.find_spec("determined").submodule_search_locations[0])
    types = {}
    for function in ast.parse((folder / "common" / "api" / "bindings.py").read_text()).body:
        if isinstance(function, ast.FunctionDef) and function.returns is not None:
            text = ast.unparse(function)
            method, path = re.search(r"method='(\w+)'", text), re.search(r"path=f?(['\"])(.*?)\1,", text)
            name = re.search(r"(\w+)(\]?['\"]|$)", ast.unparse(function.returns))
            if method and path and name:
                types[method[1], re.sub(r"\{[^}]*\}", "{}", path[2])] = name[1]
    return types


TYPES = response_types()


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    """A master that runs no trials, with one of everything in it."""
    settings = MasterSettings(data_dir=tmp_path_factory.mktemp("master"), marker_prefix="test-encode/")
    master = Master(settings)
    answer = Driver(master)
    config = {
        "entrypoint": "model_def:T",
        "searcher": {"name": "single", "metric": "loss", "max_length": {"batches": 5}},
        "integrations": {"pachyderm": {"dataset": {"repo": "churn"}}},
        "environment": {"registry_auth": {"password": "geheim"}},
        "hyperparameters": {"lr": 1},
    }
    files = [{"path": "a.py", "type": 48, "content": "", "mode": 420, "mtime": "5"}]
    answer("POST", "/api/v1/experiments", body={"config": yaml.safe_dump(config), "modelDefinition": files})
    db = open_database(settings.data_dir / "determined.db")
    transitions = Transitions(db, master.signals)
    opened = transitions.open_allocation(1, 1)
    transitions.mark_running(opened[0], opened[1])
    db.close()
    for group in ("training", "validation"):
        report = {"trialRunId": 1, "stepsCompleted": 5, "metrics": {"avgMetrics": {"loss": 0.5}, "batchMetrics": [{}]}}
        answer("POST", "/api/v1/trials/{}/metrics", body={"group": group, "metrics": report}, trialId="1")
    checkpoint = {
        "uuid": UUID,
        "taskId": opened[1].task_id,
        "state": "STATE_COMPLETED",
        "resources": {"a": "5000000000"},
        "metadata": {"steps_completed": 5},
    }
    answer("POST", "/api/v1/checkpoints", body=checkpoint)
    answer("POST", "/api/v1/models", body={"name": "m"})
    answer("POST", "/api/v1/models/{}/versions", body={"checkpointUuid": UUID}, modelName="m")
    answer.task_id = opened[1].task_id
    yield answer
    master.stop()


class Driver:
    """Calls handlers the way the application does, without HTTP."""

    def __init__(self, master):
        self.master = master
        self.routes = {shape(route): route for route in routes_of(*HANDLERS.values())}
        self.identity = Caller(master.users.get_named("admin"))

    def __call__(self, method, path, query=None, body=None, **parameters):
        call = RestCall(parameters, query or {}, body, "", "", self.identity)
        return json.loads(json.dumps(self.routes[method, path].handler(self.master, call), allow_nan=False))


def check(encoded, kind, path=""):
    """Every key the type knows is there; what the bindings made of it gives the same keys again."""
    known = set(inspect.signature(kind.__init__).parameters) - {"self"}
    assert known <= set(encoded), f"{path}{kind.__name__}: {known - set(encoded)} missing"
    for name, value in encoded.items():
        inner = value[0] if isinstance(value, list) and value else value
        type_name = re.search(r"\b(v1\w+|trialv1\w+)\b", str(kind.__annotations__.get(name, "")))
        found = getattr(bindings, type_name[1], None) if type_name else None
        if isinstance(inner, dict) and inspect.isclass(found) and "Dict[" not in str(kind.__annotations__[name]):
            check(inner, found, f"{path}{kind.__name__}.{name}: ")


E = {"experimentId": "1"}
T = {"trialId": "1"}
CASES = [
    ("GET", "/api/v1/master", {}, None),
    ("GET", "/api/v1/master/telemetry", {}, None),
    ("GET", "/api/v1/master/config", {}, None),
    ("POST", "/api/v1/auth/login", {}, {"username": "admin", "password": ""}),
    ("GET", "/api/v1/me", {}, None),
    ("GET", "/api/v1/users", {}, None),
    ("GET", "/api/v1/users/{}", {"userId": "1"}, None),
    ("GET", "/api/v1/users/{}/by-username", {"username": "admin"}, None),
    ("GET", "/api/v1/experiments", {}, None),
    ("GET", "/api/v1/experiments/{}", E, None),
    ("PATCH", "/api/v1/experiments/{}", E, {"notes": "n"}),
    ("GET", "/api/v1/experiments/{}/trials", E, None),
    ("GET", "/api/v1/experiments/{}/checkpoints", E, None),
    ("GET", "/api/v1/experiments/{}/model_def", E, None),
    ("GET", "/api/v1/experiments/{}/searcher/best_searcher_validation_metric", E, None),
    ("PUT", "/api/v1/experiments/{}/labels/{}", {**E, "label": "l"}, None),
    ("GET", "/api/v1/trials/{}", T, None),
    ("GET", "/api/v1/trials/{}/workloads", T, None),
    ("GET", "/api/v1/trials/{}/checkpoints", T, None),
    ("POST", "/api/v1/runs/start", {}, {"runId": 1}),
    ("GET", "/api/v1/checkpoints/{}", {"checkpointUuid": UUID}, None),
    (
        "POST",
        "/api/v1/checkpoints/{}/metadata",
        {"checkpointUuid": UUID},
        {"checkpoint": {"metadata": {"steps_completed": 5}}},
    ),
    ("GET", "/api/v1/models", {}, None),
    ("GET", "/api/v1/models/{}", {"modelName": "1"}, None),
    ("GET", "/api/v1/models/{}/versions", {"modelName": "m"}, None),
    ("GET", "/api/v1/models/{}/versions/{}", {"modelName": "m", "modelVersionNum": "1"}, None),
    ("GET", "/api/v1/model/labels", {}, None),
    ("GET", "/api/v1/workspaces", {}, None),
    ("GET", "/api/v1/workspaces/{}", {"id": "1"}, None),
    ("POST", "/api/v1/workspaces", {}, {"name": "w"}),
    ("GET", "/api/v1/workspaces/{}/projects", {"id": "1"}, None),
    ("POST", "/api/v1/workspaces/{}/projects", {"workspaceId": "1"}, {"name": "p"}),
    ("GET", "/api/v1/projects/{}", {"id": "1"}, None),
    ("PUT", "/api/v1/projects/{}/notes", {"projectId": "1"}, {"notes": [{"name": "a", "contents": "b"}]}),
    ("GET", "/api/v1/agents", {}, None),
    ("GET", "/api/v1/resource-pools", {}, None),
    ("GET", "/api/v1/tasks", {}, None),
    ("GET", "/health", {}, None),
]


@pytest.mark.parametrize(("method", "path", "parameters", "body"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_answers_hold_every_key(master, method, path, parameters, body):
    encoded = master(method, path, body=body, **parameters)
    kind = getattr(bindings, TYPES[method, path])
    assert kind.from_json(encoded) is not None
    check(encoded, kind)


def test_tasks_and_rendezvous(master):
    task = master("GET", "/api/v1/tasks/{}", taskId=master.task_id)
    check(task, bindings.v1GetTaskResponse)
    check(task["task"]["allocations"][0], bindings.v1Allocation)
    allocation = {"allocationId": f"{master.task_id}.1"}
    info = master("GET", "/api/v1/allocations/{}/resources/{}/rendezvous", resourcesId="r", **allocation)
    assert bindings.v1AllocationRendezvousInfoResponse.from_json(info).rendezvousInfo.slots == [1]
    summaries = master("GET", "/api/v1/tasks")["allocationIdToSummary"]
    check(summaries[f"{master.task_id}.1"], bindings.v1AllocationSummary)
    agent = master("GET", "/api/v1/agents")["agents"][0]
    check(agent["slots"]["000"], bindings.v1Slot)
    assert agent["slots"]["000"]["container"]["id"] in agent["containers"]


def test_int64_are_text_and_enums_have_their_prefix(master):
    checkpoint = master("GET", "/api/v1/checkpoints/{}", checkpointUuid=UUID)["checkpoint"]
    assert (checkpoint["resources"], checkpoint["state"]) == ({"a": "5000000000"}, "STATE_COMPLETED")
    trial = master("GET", "/api/v1/trials/{}", trialId="1")["trial"]
    assert (trial["totalCheckpointSize"], trial["state"]) == ("5000000000", "STATE_RUNNING")
    assert master("GET", "/api/v1/experiments/{}", experimentId="1")["experiment"]["checkpointSize"] == "5000000000"


def test_secrets_of_a_registry_are_not_shown(master):
    for path, more in (("/api/v1/experiments/{}", E), ("/api/v1/checkpoints/{}", {"checkpointUuid": UUID})):
        encoded = master("GET", path, **more)
        text = json.dumps({k: v for k, v in encoded.get("experiment", encoded).items() if k != "originalConfig"})
        assert "geheim" not in text


def test_pachyderm_integration(master):
    experiment = master("GET", "/api/v1/experiments/{}", experimentId="1")["experiment"]
    assert experiment["pachydermIntegration"] == {"dataset": {"repo": "churn"}}
