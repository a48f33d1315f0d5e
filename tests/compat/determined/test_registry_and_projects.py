"""Workspaces, projects, models, users, logins and refused requests, through the SDK, the command line and raw HTTP."""

import json

import pytest
import requests
from determined.common.api import authentication, errors
from determined.experimental import Determined
from targets import own

CHURN = own("Churn Model")


@pytest.fixture(scope="module")
def http(master):
    """A logged-in HTTP session that sends bodies the way the clients do: no Content-Type."""
    session = requests.Session()

    def call(method, path, body=None, **more):
        data = None if body is None else json.dumps(body)
        return session.request(method, master.url + path, data=data, timeout=20, **more)

    token = call("POST", "/api/v1/auth/login", {"username": "determined", "password": "", "isHashed": True}).json()[
        "token"
    ]
    session.headers["Authorization"] = f"Bearer {token}"
    return call


def test_who_am_i(client, det):
    assert client.whoami().username == "determined"
    assert "You are logged in as user 'determined'" in det("user", "whoami")
    assert "admin" in det("user", "list")


def test_workspace_and_project_of_the_pipeline(client, det, lab):
    det("workspace", "create", own("PDK Demos"))
    assert own("PDK Demos") in det("workspace", "list")
    det("p", "create", own("PDK Demos"), "pdk-customer-churn")
    assert "pdk-customer-churn" in det("project", "list", own("PDK Demos"))
    config = lab.script_config("true", workspace=own("PDK Demos"), project="pdk-customer-churn")
    experiment = client.create_experiment(config, str(lab.CORE_SCRIPT))
    project = client.get_workspace(own("PDK Demos")).get_project("pdk-customer-churn")
    assert experiment.project_id == project.id
    assert [e.id for e in project.list_experiments()] == [experiment.id]
    assert str(experiment.id) in det("project", "describe", own("PDK Demos"), "pdk-customer-churn")
    elsewhere = client.get_workspace(own("PDK Demos")).create_project("elsewhere")
    experiment.move_to_project(own("PDK Demos"), "elsewhere")
    assert client.get_experiment(experiment.id).project_id == elsewhere.id


def test_a_project_that_does_not_exist(client, lab):
    config = lab.script_config("true", workspace="No Demos", project="nothing")
    with pytest.raises(errors.NotFoundException, match="workspace/project 'No Demos/nothing' not found"):
        client.create_experiment(config, str(lab.CORE_SCRIPT))
    with pytest.raises(errors.APIException, match="workspace and project must both be included"):
        client.create_experiment(lab.script_config("true", workspace="No Demos"), str(lab.CORE_SCRIPT))


def test_names_are_taken_once(client, det):
    client.create_workspace(own("taken"))
    with pytest.raises(errors.APIException) as caught:
        client.create_workspace(own("taken"))
    assert caught.value.status_code == 409
    assert "already exists" in det("workspace", "create", own("taken"), status=1)
    client.delete_workspace(own("taken"))
    with pytest.raises(errors.APIException, match="immutable"):
        client.delete_workspace("Uncategorized")


def test_models_through_the_sdk(client):
    model = client.create_model(CHURN, "predicts", {"data": "a"}, ["tabular"])
    with pytest.raises(errors.APIException) as caught:
        client.create_model(CHURN.lower())
    assert caught.value.status_code == 409
    assert [m.name for m in client.list_models(name=CHURN[2:].upper())] == [CHURN]
    assert client.get_model(model.model_id).name == CHURN
    model.add_metadata({"more": 1})
    model.set_labels(["tabular", "new"])
    model.set_description("predicts churn")
    found = client.get_model(CHURN)
    assert (found.metadata, found.labels, found.description) == (
        {"data": "a", "more": 1},
        ["tabular", "new"],
        "predicts churn",
    )
    assert {"new", "tabular"} <= set(client.get_model_labels())
    model.archive()
    with pytest.raises(errors.APIException, match="archived"):
        model.set_description("no")
    model.unarchive()
    with pytest.raises(errors.NotFoundException, match="checkpoint 0b5e2a7c"):
        model.register_version("0b5e2a7c-0000-4000-8000-000000000000")
    with pytest.raises(errors.NotFoundException, match="version 9 for model"):
        model.get_version(9)
    model.delete()
    with pytest.raises(errors.NotFoundException, match=f'model "{CHURN}" not found'):
        client.get_model(CHURN)


@pytest.mark.parametrize("name", ["", "   ", "12", "a/b", "a  b", "a\\b"])
def test_model_names_that_are_refused(client, name):
    with pytest.raises(errors.APIException, match="model names cannot"):
        client.create_model(name)


def test_models_on_the_command_line(det):
    det("model", "create", own("by hand"))
    assert own("by hand") in det("model", "list")
    assert own("by hand") in det("model", "describe", own("by hand"))
    assert own("by hand") in det("model", "list-versions", own("by hand"))
    assert json.loads(det("model", "list-versions", own("by hand"), "--json"))["modelVersions"] == []


def test_a_quoted_slash_stays_in_the_name(http):
    answer = http("GET", "/api/v1/models/a%2Fb")
    assert answer.status_code == 404
    assert answer.json()["error"]["error"] == 'model "a/b" not found'


def test_users_and_passwords(master, client):
    admin = master.client("admin")
    user = admin.create_user(own("alice"), admin=False, password="Wonderland1")
    assert Determined(master.url, user=own("alice"), password="Wonderland1").whoami().username == own("alice")
    with pytest.raises(errors.UnauthenticatedException):
        authentication.login(master.url, own("alice"), "wrong", None)
    with pytest.raises(errors.ForbiddenException):
        client.create_user("bob", admin=True, password="Builder12")
    user.deactivate()
    with pytest.raises(errors.ForbiddenException):
        authentication.login(master.url, own("alice"), "Wonderland1", None)


def test_without_a_token_nothing_is_told(master):
    for path in ("/api/v1/me", "/api/v1/experiments", "/checkpoints/x", "/task-logs"):
        method = "POST" if path == "/task-logs" else "GET"
        assert requests.request(method, master.url + path, timeout=10).status_code == 401
    bad = requests.get(f"{master.url}/api/v1/me", headers={"Authorization": "Bearer nonsense"}, timeout=10)
    assert bad.json() == {"error": {"code": 16, "reason": "Unauthenticated", "error": "invalid credentials"}}


@pytest.mark.ours
def test_other_host_names_are_refused(master):
    answer = requests.get(f"{master.url}/info", headers={"Host": "rebound.example.com"}, timeout=10)
    assert answer.status_code == 403
    assert "this machine only" in answer.json()["message"]


def test_logging_out_ends_the_session(master):
    token = requests.post(
        f"{master.url}/api/v1/auth/login", data='{"username": "admin", "password": ""}', timeout=10
    ).json()
    headers = {"Authorization": f"Bearer {token['token']}"}
    assert requests.get(f"{master.url}/api/v1/me", cookies={"auth": token["token"]}, timeout=10).status_code == 200
    assert requests.post(f"{master.url}/api/v1/auth/logout", headers=headers, timeout=10).json() == {}
    assert requests.get(f"{master.url}/api/v1/me", headers=headers, timeout=10).status_code == 401


@pytest.mark.ours
def test_what_is_not_served_says_so_with_the_gateway_error(http):
    for method, path in (("GET", "/api/v1/webhooks"), ("POST", "/api/v1/shells"), ("GET", "/api/v1/job-queues-v2")):
        answer = http(method, path)
        assert answer.status_code == 501
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["error"]["reason"] == "Unimplemented"
    elsewhere = http("GET", "/det/dashboard")
    assert (elsewhere.status_code, elsewhere.json()) == (404, {"message": "Not Found"})


def test_bodies_that_are_refused(http, master):
    broken = requests.post(f"{master.url}/api/v1/auth/login", data="{not json", timeout=10)
    assert broken.status_code == 400
    assert "not JSON" in broken.json()["error"]["error"]
    assert http("POST", "/api/v1/models", ["a", "list"]).status_code == 400
    assert http("POST", "/api/v1/models", {"name": 5}).json()["error"]["error"] == "name: must be text"
    assert http("GET", "/api/v1/experiments/one").status_code == 400
    assert http("GET", "/api/v1/experiments/99999999999").status_code == 400
    assert http("GET", "/api/v1/experiments?limit=many").status_code == 400
    assert http("GET", "/api/v1/experiments?offset=5000").status_code == 400
    assert http("GET", "/api/v1/trials/metrics/validation_metrics").status_code == 400


def test_snake_case_is_understood(http):
    created = http("POST", "/api/v1/models", {"name": own("snakes"), "workspace_name": "Uncategorized"}).json()["model"]
    found = http("GET", "/api/v1/models?workspace_names=Uncategorized&order_by=ORDER_BY_DESC&limit=1").json()
    assert found["models"][0]["id"] == created["id"]
    assert found["pagination"]["total"] >= 1


def test_validation_only_creates_nothing(client, lab):
    before = len(client.list_experiments())
    answer = lab.submit(client, lab.toy_config(), lab.TOY, validateOnly=True)
    assert answer.experiment.id == 0
    assert answer.config["max_restarts"] == 0
    assert len(client.list_experiments()) == before


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"searcher__max_length": None}, "<config>.searcher.max_length: is required"),
        pytest.param(
            {"searcher__name": "adaptive_asha"},
            "Unimplemented: this searcher does not run on this master",
            marks=pytest.mark.ours,
        ),
        ({"max_restart": 1}, "<config>.max_restart: unknown setting, did you mean 'max_restarts'?"),
        ({"resources__slots_per_trial": 4}, "<config>.resources.slots_per_trial: 4 slots were asked for"),
        pytest.param(
            {"checkpoint_storage": {"type": "s3"}}, "<config>.checkpoint_storage: Unimplemented", marks=pytest.mark.ours
        ),
        ({"searcher__source_checkpoint_uuid": "../../etc"}, "no checkpoint found for source_checkpoint_uuid"),
        ({"searcher__source_trial_id": 4711}, "no checkpoint found for source_trial_id 4711"),
    ],
)
def test_configurations_that_are_refused(client, lab, changes, problem):
    with pytest.raises((errors.APIException, errors.NotFoundException)) as caught:
        client.create_experiment(lab.toy_config(**changes), str(lab.TOY))
    assert problem in str(caught.value)


def test_numbers_are_read_as_yaml_1_2(client, lab):
    text = """
        entrypoint: "true"
        searcher: {name: single, metric: loss}
        hyperparameters: {lr: 1e-4, other: 1.e-3, day: 2024-01-02}
    """
    experiment = lab.submit(client, text, lab.CORE_SCRIPT)
    values = {name: each["val"] for name, each in experiment.config["hyperparameters"].items()}
    assert values == {"lr": 0.0001, "other": 0.001, "day": "2024-01-02"}


def test_model_definitions_that_are_refused(http):
    def create(**entry):
        file = {"path": "a.py", "type": 48, "content": "", "mode": 33188, "mtime": "1", "uid": 0, "gid": 0}
        body = {
            "config": '{"entrypoint": "true", "searcher": {"name": "single", "metric": "x"}}',
            "modelDefinition": [{**file, **entry}],
        }
        return http("POST", "/api/v1/experiments", body)

    for bad in ({"path": "../a.py"}, {"path": "/etc/passwd"}, {"type": 50}, {"content": "%%%"}, {"path": "a\0b"}):
        answer = create(**bad)
        assert answer.status_code == 400, bad
        assert answer.json()["error"]["error"].startswith("model definition: ")


@pytest.mark.ours
def test_the_cluster(det):
    assert "0.38.1" in det("master", "info")
    assert "shared_fs" in det("master", "config")
    assert det("slot", "list").count("FREE") >= 2
    assert "pdk-agent" in det("agent", "list")
    det("rp", "bindings", "list-workspaces", "default")
    assert "0.38.1" in det("version")
    assert "no mount namespaces" not in det("master", "logs", "--tail", 5)
