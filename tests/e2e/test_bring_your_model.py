"""The document this project was created from, "Bringing Your Model to PDK", walked through as a reader would.

Its commands in its order, with `pdk` for `pachctl` (the words are the same), `det`, `kubectl` and a plain HTTP client;
the ids are those of the capabilities in docs/seeds.md. One walk, many looks at what it left.
"""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import kubernetes
import pytest
import yaml
from pachyderm_sdk.api import pfs, pps
from waiting import wait_until

ROOT = Path(__file__).parents[2]
PROJECT = "pdk-customer-churn"
REPO = "customer-churn-data"
TRAIN, DEPLOY, ROLLOUT = "customer-churn-train", "customer-churn-deploy", "customer-churn-rollout"
PIPELINES = {name: ROOT / "pipelines" / f"{name}-pipeline.json" for name in ("training", "deployment", "rollout")}
ROWS = 2000


def run(walk, *command, check=True):
    environment = {**walk.stack.environment, "DET_MASTER": walk.systems.master_url, "KUBECONFIG": walk.kubeconfig}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def det(walk, *words):
    return run(walk, Path(sys.executable).with_name("det"), *words)


def specification(name):
    return json.loads(PIPELINES[name].read_text())


def make_the_secret_and_the_account(walk, code):
    """What the document calls a PDK environment that was set up and tested before."""
    keys = {
        "det_master": walk.systems.master_url, "det_user": "determined", "det_password": "", "pac_token": "a-token",
        "kserve_namespace": walk.systems.namespace, "code_url": str(code), "code_ref": "",
        "cloud_model_host": "", "cloud_model_bucket": "",
    }  # fmt: skip
    for name in {secret["name"] for kind in PIPELINES for secret in specification(kind)["transform"]["secrets"]}:
        walk.stack.pdk("create", "secret", name, *(f"--from-literal={key}={value}" for key, value in keys.items()))
    core = kubernetes.client.CoreV1Api(walk.systems.kubernetes)
    annotations = {"serving.kserve.io/s3-endpoint": walk.systems.s3_address, "serving.kserve.io/s3-usehttps": "0"}
    data = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "a"}
    metadata = {"name": "pach-deploy", "annotations": annotations}
    core.create_namespaced_secret(walk.systems.namespace, {"metadata": metadata, "stringData": data})
    account = {"metadata": {"name": "pach-deploy"}, "secrets": [{"name": "pach-deploy"}]}
    core.create_namespaced_service_account(walk.systems.namespace, account)


def put(walk, name):
    """One commit of the head of a generated file; gives its id when the last pipeline is through with it."""
    head = walk.folder / name
    with (walk.data / name).open() as rows:
        head.write_text("".join(next(rows) for _ in range(ROWS + 1)))
    walk.stack.pdk("put", "file", f"{REPO}@master:{name}", "-f", str(head))
    walk.stack.pdk("wait", "commit", f"{REPO}@master")
    return walk.systems.pachyderm.pfs.inspect_commit(commit=commit_of(REPO, "master")).commit.id


def commit_of(repo, reference):
    return pfs.Commit.from_uri(f"{PROJECT}/{repo}@{reference}")


def job(walk, pipeline, job_id):
    handle = pps.Job(pipeline=pps.Pipeline(name=pipeline, project=pfs.Project(name=PROJECT)), id=job_id)
    return walk.systems.pachyderm.pps.inspect_job(job=handle, details=True)


def read(walk, repo, reference, path):
    with walk.systems.pachyderm.pfs.pfs_file(file=pfs.File(commit=commit_of(repo, reference), path=path)) as stream:
        return stream.read()


def wait_until_served(walk, commit):
    """Until the rollout job of a commit has ended well."""

    def ended():
        result = walk.stack.pdk("wait", "job", f"{ROLLOUT}@{commit}", "--project", PROJECT, check=False)
        return "State: success" in result.stdout and result

    assert wait_until(ended, timeout=5, what=lambda: walk.stack.pdk("status").stdout)


def predict(walk):
    """The document's step 5: the sample file under "data", the Host header of the service, one POST."""
    body = json.dumps({"instances": [{"data": walk.sample}]}).encode()
    request = urllib.request.Request(
        f"http://{walk.systems.ingress_host}:{walk.systems.ingress_port}/v1/models/customer-churn:predict",
        body,
        {"Host": walk.host, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response), dict(response.headers)


@pytest.fixture(scope="module")
def walk(module_stack, module_quick_code, data, tmp_path_factory):
    """Steps 2 to 5 of the document, and a second commit; what the tests look at."""
    systems = module_stack.systems()
    walk = SimpleNamespace(
        stack=module_stack, systems=systems, kubeconfig=str(module_stack.settings.kubeconfig),
        data=data,
        folder=tmp_path_factory.mktemp("rows"),
        sample=json.loads((ROOT / "sample-data" / "customer_churn_sample.json").read_text()),
    )  # fmt: skip
    walk.stack.pdk("create", "project", PROJECT)
    walk.stack.pdk("update", "context", "--project", PROJECT)
    walk.stack.pdk("create", "repo", REPO)
    det(walk, "workspace", "create", "PDK Demos")
    det(walk, "p", "create", "PDK Demos", PROJECT)
    make_the_secret_and_the_account(walk, module_quick_code)
    for name in ("training", "deployment", "rollout"):
        walk.stack.pdk("create", "pipeline", "-f", str(PIPELINES[name]))
    walk.first = put(walk, "data_part1.csv")
    wait_until_served(walk, walk.first)
    walk.host = json.loads(service(walk, "-o", "json"))["status"]["url"].partition("//")[2]
    walk.first_answer = predict(walk)
    walk.second = put(walk, "data_part2.csv")
    wait_until_served(walk, walk.second)
    walk.second_answer = predict(walk)
    return walk


def service(walk, *words):
    return run(walk, "kubectl", "get", "inferenceservice", "customer-churn", "-n", walk.systems.namespace, *words)


def experiment(walk, commit):
    (found,) = walk.systems.determined.list_experiments(labels=[commit])
    return found


def version(walk, commit):
    versions = walk.systems.determined.get_model("customer-churn").list_versions()
    (found,) = [each for each in versions if each.name == commit]
    return found


@pytest.mark.seed("S2-02", "S2-03", "S2-04")
def test_project_context_and_repo_are_made_by_the_documents_commands(walk):
    assert PROJECT in walk.stack.pdk("list", "project").stdout
    assert REPO in walk.stack.pdk("list", "repo").stdout  # without --project: the context names it


@pytest.mark.seed("S2-05", "S2-06")
def test_each_file_is_one_commit_and_the_head_has_both(walk):
    infos = list(walk.systems.pachyderm.pfs.list_commit(repo=commit_of(REPO, "master").repo))
    ids = [info.commit.id for info in infos]
    assert ids[:2] == [walk.second, walk.first]
    assert all(info.details.size_bytes == 0 for info in infos[2:])  # the branch's own, made with the first pipeline
    listed = walk.systems.pachyderm.pfs.list_file(file=pfs.File(commit=commit_of(REPO, "master"), path="/"))
    assert [info.file.path for info in listed] == ["/data_part1.csv", "/data_part2.csv"]


@pytest.mark.seed("S2-07", "S2-13")
def test_experiments_land_in_the_determined_project(walk):
    assert PROJECT in det(walk, "p", "list", "PDK Demos")
    first = experiment(walk, walk.first)
    assert (first.config["workspace"], first.config["project"]) == ("PDK Demos", PROJECT)


@pytest.mark.seed("S2-11", "S2-12")
def test_the_config_has_empty_keys_which_the_container_filled_in_and_lengths_in_batches(walk):
    written = yaml.safe_load((ROOT / "experiment" / "const.yaml").read_text())
    assert set(written["data"]["pachyderm"].values()) == {None}
    filled = experiment(walk, walk.second).config
    host, port = walk.systems.pachd_address.split(":")
    assert filled["data"]["pachyderm"] == {
        "host": host, "port": int(port), "project": PROJECT, "repo": REPO, "branch": walk.second, "token": None,
        "previous_commit": walk.first,
    }  # fmt: skip
    assert set(filled["searcher"]["max_length"]) == {"batches"} == set(filled["min_validation_period"])


@pytest.mark.seed("S2-21", "S2-22", "S2-32", "S2-48")
def test_the_pipelines_are_what_their_files_say(walk):
    for kind, name in (("training", TRAIN), ("deployment", DEPLOY), ("rollout", ROLLOUT)):
        pipeline = pps.Pipeline(name=name, project=pfs.Project(name=PROJECT))
        info = walk.systems.pachyderm.pps.inspect_pipeline(pipeline=pipeline, details=True)
        assert json.loads(info.user_spec_json) == specification(kind)
        assert info.details.autoscaling
        # Idle again: its workers are gone until the next commit.
        assert info.state == pps.PipelineState.PIPELINE_STANDBY
    spec = specification("training")
    assert spec["input"]["pfs"] == {
        "name": "data", "repo": REPO, "branch": "master", "glob": "/", "empty_files": True,
    }  # fmt: skip


@pytest.mark.seed("S2-23", "S2-24")
def test_the_job_had_the_secrets_and_pachyderms_own_variables(walk):
    spec = specification("training")
    assert {"DET_MASTER", "DET_USER", "DET_PASSWORD", "PAC_TOKEN", "KSERVE_NAMESPACE"} <= {
        secret["env_var"] for secret in spec["transform"]["secrets"]
    }
    # PAC_TOKEN reached the trial, as only the secret could have brought it; a token is never shown in a log.
    assert "PACH_TOKEN=a-token" in str(experiment(walk, walk.first).config["environment"])
    lines = walk.stack.pdk("logs", "-j", f"{TRAIN}@{walk.first}").stdout
    assert walk.first in lines
    assert "a-token" not in lines


@pytest.mark.seed("S2-26", "S2-27")
def test_the_second_experiment_goes_on_from_the_first_version(walk):
    first, second = experiment(walk, walk.first), experiment(walk, walk.second)
    assert sorted(first.labels) == sorted([REPO, walk.first, TRAIN])
    source = second.config["searcher"]["source_checkpoint_uuid"]
    assert source == version(walk, walk.first).checkpoint.uuid
    assert second.config["data"]["pachyderm"]["previous_commit"] == version(walk, walk.first).name


@pytest.mark.seed("S2-16", "S2-28", "S2-29")
def test_the_registry_holds_one_model_and_a_version_per_commit(walk):
    model = walk.systems.determined.get_model("customer-churn")
    assert sorted(model.labels) == sorted([TRAIN, REPO])
    assert model.metadata["pipeline"] == TRAIN
    assert model.metadata["repository"] == REPO
    latest = version(walk, walk.second)
    assert latest.model_version == 2
    assert walk.second in latest.notes
    assert latest.metadata["files"] == ["/data_part2.csv"]  # data_part1 was not downloaded again


@pytest.mark.seed("S2-30")
def test_the_output_commit_holds_the_checkpoint_and_its_description(walk):
    info = yaml.safe_load(read(walk, TRAIN, walk.second, "/model-info.yaml"))
    assert {key: info[key] for key in ("name", "version", "pipeline", "repo")} == {
        "name": "customer-churn", "version": 2, "pipeline": TRAIN, "repo": REPO,
    }  # fmt: skip
    assert read(walk, TRAIN, walk.second, "/checkpoint/metadata.json")


@pytest.mark.seed("S2-35", "S2-38")
def test_archive_and_config_lie_where_torchserve_looks(walk):
    folder = pfs.File(commit=commit_of(DEPLOY, walk.second), path="/customer-churn")
    paths = [info.file.path for info in walk.systems.pachyderm.pfs.walk_file(file=folder)]
    assert "/customer-churn/config/config.properties" in paths
    assert [path for path in paths if path.endswith(".mar")] == ["/customer-churn/model-store/customer-churn-v2.mar"]


@pytest.mark.seed("S2-39", "S2-42", "S2-47")
def test_the_service_names_job_data_and_storage(walk):
    live = json.loads(service(walk, "-o", "json"))
    predictor = live["spec"]["predictor"]
    assert live["apiVersion"] == "serving.kserve.io/v1beta1"
    assert predictor["serviceAccountName"] == "pach-deploy"
    assert predictor["model"]["modelFormat"] == {"name": "pytorch"}
    assert predictor["model"]["protocolVersion"] == "v1"
    assert predictor["model"]["storageUri"].startswith(f"s3://{walk.second}.master.{DEPLOY}.{PROJECT}/")
    assert predictor["model"]["resources"]["limits"] == {"cpu": "2", "memory": "2Gi"}
    assert live["metadata"]["annotations"]["pach_id"] == walk.second
    assert live["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"


@pytest.mark.seed("S2-40", "S2-41")
def test_each_rollout_waited_until_its_revision_was_ready(walk):
    first, second = (walk.stack.pdk("logs", "-j", f"{ROLLOUT}@{each}").stdout for each in (walk.first, walk.second))
    assert "created" in first
    assert "replaced" in second
    assert walk.host in second
    document = yaml.safe_load(read(walk, ROLLOUT, walk.second, "/rollout.yaml"))
    assert walk.host in document["url"]


@pytest.mark.seed("S2-43", "S2-44", "S2-46", "S2-47")
def test_the_sample_is_answered_by_each_version_in_turn(walk):
    assert "churn" in walk.sample  # the label is in the request, and is dropped
    for (answer, headers), number, commit in (
        (walk.first_answer, "1", walk.first),
        (walk.second_answer, "2", walk.second),
    ):
        assert [len(prediction) for prediction in answer["predictions"]] == [1] * 10
        assert {prediction[0] for prediction in answer["predictions"]} <= {0, 1}
        named = {name.lower(): value for name, value in headers.items()}
        assert number in named.values()
        assert commit in named.values()


@pytest.mark.seed("S2-45")
def test_kubectl_names_the_host_and_the_port_the_document_asks_for(walk):
    assert service(walk, "-o", "jsonpath={.status.url}").partition("//")[2] == walk.host
    ports = '.spec.ports[?(@.name=="http2")].port'
    port = run(
        walk, "kubectl", "-n", "istio-system", "get", "service", "istio-ingressgateway", "-o", f"jsonpath={{{ports}}}"
    )
    assert port == str(walk.systems.ingress_port)


@pytest.mark.seed("S2-20", "S2-31")
def test_a_commit_that_only_deletes_trains_nothing_and_deploys_nothing(walk):
    walk.stack.pdk("delete", "file", f"{REPO}@master:data_part1.csv")
    commit = walk.systems.pachyderm.pfs.inspect_commit(commit=commit_of(REPO, "master")).commit.id
    walk.stack.pdk("wait", "job", f"{ROLLOUT}@{commit}", check=False)
    failed = job(walk, TRAIN, commit)
    assert failed.state == pps.JobState.JOB_FAILURE
    assert "No data. Aborting training." in failed.reason
    assert job(walk, DEPLOY, commit).state == pps.JobState.JOB_UNRUNNABLE
    assert walk.systems.determined.list_experiments(labels=[commit]) == []
    assert predict(walk)[0] == walk.second_answer[0]  # what served goes on serving
