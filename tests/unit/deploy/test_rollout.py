"""What a rollout decides, against a small Kubernetes API and data plane on loopback. The whole is in tests/e2e."""

import json

import deploy
import pytest
import yaml
from deployment import rollout
from deployment.errors import ClusterError, InputError, RolloutError, Superseded
from fake_kserve import (
    COMMIT,
    EXAMPLE,
    HOST,
    JOB,
    OLD_INFO,
    failure,
    live_service,
    report,
    serves_otherwise,
    taken_over,
    write_source,
    writes,
)


def test_absent_is_created_with_everything_that_ties_it_to_its_origin(cluster, roll_out):
    cluster.moves = [report("r1", "r1")]
    document = roll_out(requests={"cpu": "1"}, limits={"memory": "2Gi"}, tolerations={"gpu": "yes"})
    assert cluster.live["spec"]["predictor"] == {
        "model": {
            "name": "",  # the SDK's way to leave it to KServe
            "modelFormat": {"name": "pytorch"},
            "protocolVersion": "v1",
            "storageUri": f"s3://{COMMIT}.master.customer-churn-deploy.pdk-customer-churn/customer-churn/",
            "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}},
        },
        "serviceAccountName": "pach-deploy",
        "tolerations": [{"effect": "NoSchedule", "key": "gpu", "operator": "Equal", "value": "yes"}],
    }
    assert cluster.live["metadata"]["annotations"] == {
        "sidecar.istio.io/inject": "false",
        "pach_id": JOB,
        "pdk/model-version": "3",
        "pdk/data-commit": "d" * 32,
        "pdk/code-commit": "5a5a",
        "pdk/build-commit": COMMIT,
        "pdk/previous": "null",
    }
    assert (document["revision"], document["url"], document["ready"]) == ("r1", f"http://{HOST}", True)
    assert (document["model_version"], document["data_commit"], document["job"]) == (3, "d" * 32, JOB)


def test_a_bucket_needs_no_service_account_and_batches_need_no_envelope(cluster, roll_out, source):
    write_source(source, uri="gs://models/customer-churn/v3-b/", batch_size=8, envelope=False)
    cluster.moves = [report("r1", "r1")]
    roll_out()
    predictor = cluster.live["spec"]["predictor"]
    assert predictor["model"]["storageUri"] == "gs://models/customer-churn/v3-b/"
    assert predictor["model"]["env"] == [{"name": "TS_SERVICE_ENVELOPE", "value": ""}]
    assert "serviceAccountName" not in predictor


def test_replaced_and_a_stale_ready_is_waited_out(cluster, roll_out):
    """Ready stays True from the old revision, then the new one comes up, then traffic moves."""
    live_service(cluster)
    cluster.info, cluster.revision = OLD_INFO, "r1"

    def answers_from_the_new_one(fake):
        fake.info, fake.revision = EXAMPLE["predictions"][1], "r2"

    stale, starting = report("r1", "r1"), report("r2", "r1", "Unknown", "InProgress")
    loaded = report("r2", "r2")
    cluster.moves = [stale, stale, stale, starting, loaded, loaded, answers_from_the_new_one]
    assert roll_out()["revision"] == "r2"
    assert writes(cluster) == ["PUT"]
    told = "\n".join(roll_out.said)
    for text in ("has not made a new revision yet", "r2 is not ready yet", "still answers from model version 2"):
        assert text in told


def test_a_conflicting_write_is_tried_again_on_the_new_state(cluster, roll_out):
    live_service(cluster)

    def other_writer(fake):
        fake.put(fake.live)
        return failure(409, "Conflict")

    cluster.refusals["PUT"] = [other_writer]
    cluster.moves = [report("r1", "r1"), report("r1", "r1"), report("r2", "r2")]
    assert roll_out()["revision"] == "r2"
    assert writes(cluster) == ["PUT", "PUT"]


def test_one_that_appears_meanwhile_is_replaced(cluster, roll_out):
    def other_writer(fake):
        live_service(fake)
        fake.moves = [report("r1", "r1"), report("r2", "r2")]
        return failure(409, "AlreadyExists")

    cluster.refusals["POST"] = [other_writer]
    assert roll_out()["revision"] == "r2"
    assert writes(cluster) == ["POST", "PUT"]


@pytest.mark.parametrize("code", [401, 403])
def test_refused_is_not_absent(cluster, roll_out, code):
    cluster.refusals["GET"] = [(code, "Forbidden")]
    with pytest.raises(ClusterError, match=f"cannot read InferenceService customer-churn: {code}"):
        roll_out()
    assert writes(cluster) == []


def test_an_api_that_is_away_for_a_while_is_waited_for(cluster, roll_out):
    cluster.refusals["GET"] = [(503, "ServiceUnavailable"), (500, "InternalError")]
    cluster.refusals["POST"] = [(503, "ServiceUnavailable")]

    def away(fake):
        fake.report("r1", "r1")
        fake.refusals["GET"] = [(503, "ServiceUnavailable")] * 2

    cluster.moves = [report("r1", None, "Unknown"), away]
    assert roll_out()["revision"] == "r1"


def test_a_namespace_or_kserve_that_is_not_there_is_named(cluster, roll_out):
    cluster.refusals["POST"] = [(404, "NotFound")]
    with pytest.raises(ClusterError, match="does namespace models exist, and is KServe installed"):
        roll_out()


@pytest.mark.parametrize("transition", ["BlockedByFailedLoad", "InvalidSpec"])
def test_a_failed_load_ends_the_job_with_the_evidence(cluster, roll_out, transition):
    live_service(cluster)
    info = {"reason": "ModelLoadFailed", "message": "exit code 1"}
    cluster.moves = [report("r1", "r1"), report("r2", "r1", "False", transition, info)]
    with pytest.raises(RolloutError) as error:
        roll_out()
    lines = str(error.value).splitlines()
    assert lines[-1] == (f"model version 3 does not serve: {transition}: reason ModelLoadFailed, message exit code 1")
    assert "  Ready=False told by the controller" in lines
    assert "  Warning InternalError: no such object" in lines
    assert (
        lines.index("log of kserve-container:")
        == lines.index("  pod pod-2", lines.index("log of storage-initializer:") + 2) - 1
    )
    assert "  RuntimeError: size mismatch" in lines


def test_the_deadline_ends_the_wait_with_what_was_missing(cluster, roll_out):
    live_service(cluster)
    with pytest.raises(RolloutError) as error:
        roll_out(timeout=4)
    assert "does not serve after 4 s: the controller has not made a new revision yet" in str(error.value)


def test_a_new_revision_that_predicts_something_else_is_a_failure(cluster, roll_out, source):
    cluster.moves = [report("r1", "r1")]
    serves_otherwise(source)
    with pytest.raises(RolloutError, match="serves, but predicts"):
        roll_out()


def test_a_newer_version_is_not_replaced_by_an_older_rollout(cluster, roll_out):
    live_service(cluster, version=4)
    with pytest.raises(Superseded, match="version 3 was not rolled out: version 4 is live"):
        roll_out()
    assert writes(cluster) == []
    cluster.moves = [report("r1", "r1"), report("r2", "r2")]
    assert roll_out(force=True)["model_version"] == 3


def test_another_job_that_takes_over_while_waiting_is_named(cluster, roll_out):
    cluster.moves = [report("r1", None, "Unknown"), taken_over]
    with pytest.raises(Superseded, match=f"job {'f' * 32} replaced the InferenceService"):
        roll_out()


def test_a_second_run_of_the_same_job_waits_and_does_not_write(cluster, roll_out):
    cluster.moves = [report("r1", "r1")]
    roll_out()
    cluster.calls.clear()
    assert roll_out()["revision"] == "r1"
    assert writes(cluster) == []


def test_not_waiting_says_so(cluster, roll_out):
    document = roll_out(wait=False)
    assert (document["ready"], document["revision"]) == (False, None)
    assert not any(path.startswith("/v1/") for _, path in cluster.calls)


def test_a_model_that_cannot_name_its_build_is_known_by_its_answer(cluster, roll_out, source):
    live_service(cluster)
    expected = {"predictions": [[1, 0.7], {"build_job": "x", "model_version": 3}]}
    (source / "probe.json").write_text(json.dumps({"request": EXAMPLE["request"], "answer": expected}))

    def traffic_moves(fake):
        fake.info, fake.revision = expected["predictions"][1], "r2"

    cluster.info, cluster.revision = OLD_INFO, "r1"
    cluster.moves = [report("r1", "r1"), report("r2", "r2"), report("r2", "r2"), traffic_moves]
    assert roll_out()["revision"] == "r2"
    assert any("is it the version before" in text for text in roll_out.said)


@pytest.mark.parametrize("request_body", [None, EXAMPLE["request"]])
def test_without_an_answer_to_compare_readiness_decides(cluster, roll_out, source, request_body):
    (source / "probe.json").write_text(json.dumps({"request": request_body, "answer": None}))
    cluster.moves = [report("r1", "r1")]
    assert roll_out()["revision"] == "r1"
    assert any(path.startswith("/v1/models/") for _, path in cluster.calls) == (request_body is not None)


@pytest.mark.parametrize(("batch_size", "section", "enveloped"), [(1, {}, True), (8, {}, False)])
def test_archives_that_do_not_say_need_no_envelope_in_batches_alone(
    cluster, roll_out, source, batch_size, section, enveloped
):
    write_source(source, batch_size=batch_size, **section)
    cluster.moves = [report("r1", "r1")]
    roll_out()
    assert ("env" not in cluster.live["spec"]["predictor"]["model"]) == enveloped


@pytest.mark.parametrize("runtime", ["old", "silent"])
def test_a_named_runtime_serves_unless_it_says_that_its_python_is_too_old(cluster, roll_out, source, runtime):
    write_source(source, requires_python=">=3.9")
    cluster.moves = [report("r1", "r1"), report("r1", "r1"), report("r2", "r2")]
    roll_out(runtime=runtime)
    assert cluster.live["spec"]["predictor"]["model"]["runtime"] == runtime
    write_source(source, requires_python=">=3.11")
    if runtime == "silent":
        roll_out(runtime=runtime, job="9" * 32)
        return
    with pytest.raises(InputError, match=r"needs Python >=3.11, serving runtime old has 3.9 .* --runtime"):
        roll_out(runtime=runtime, job="9" * 32)


def test_a_runtime_that_is_not_there_is_named(cluster, roll_out):
    with pytest.raises(InputError, match="--runtime absent: no serving runtime of models has this name"):
        roll_out(runtime="absent")
    assert writes(cluster) == []


@pytest.mark.parametrize("value", ["no", 0, []])
def test_an_envelope_that_is_neither_true_nor_false_is_named(roll_out, source, value):
    write_source(source, envelope=value)
    with pytest.raises(InputError, match=r"build\.envelope must be true or false"):
        roll_out()


def test_the_service_must_be_called_like_the_served_model(roll_out):
    with pytest.raises(InputError, match="give both commands the same --deployment-name"):
        roll_out(deployment_name="other")


def test_the_output_of_training_is_no_input_of_rollout(roll_out, source):
    document = yaml.safe_load((source / "model-info.yaml").read_text())
    del document["build"]
    (source / "model-info.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match="the input of rollout must be the output of"):
        roll_out()


@pytest.mark.seed("S2-33")
def test_the_command_reads_its_surroundings(cluster, source, config_file, tmp_path, monkeypatch, capsys):
    cluster.moves = [report("r1", "r1")]
    surroundings = {"PACH_JOB_ID": JOB, "model_COMMIT": COMMIT, "KSERVE_NAMESPACE": "models"}
    surroundings |= {"INGRESS_HOST": "127.0.0.1", "INGRESS_PORT": str(cluster.server_port)}
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    places = [f"--input={source}", f"--output={tmp_path / 'out'}", f"--k8s-config-file={config_file}"]
    arguments = ["rollout", "--deployment-name=customer-churn", *places]
    assert deploy.main(arguments) == 0
    document = yaml.safe_load((tmp_path / "out" / "rollout.yaml").read_text())
    assert (document["revision"], document["build_commit"]) == ("r1", COMMIT)
    monkeypatch.delenv("model_COMMIT")
    assert deploy.main(arguments) == 1
    assert "model_COMMIT is not set" in capsys.readouterr().err


@pytest.mark.seed("S2-41")
@pytest.mark.parametrize(("flag", "waits"), [("--wait", True), ("--no-wait", False)])
def test_wait_is_a_real_boolean(monkeypatch, source, flag, waits):
    seen = []

    class Recorded:
        def __init__(self, options, say):
            seen.append(options.wait)

        def run(self):
            raise RolloutError("recorded")

    monkeypatch.setattr(rollout, "Rollout", Recorded)
    monkeypatch.setenv("PACH_JOB_ID", JOB)
    assert deploy.main(["rollout", "--deployment-name=m", f"--input={source}", f"--commit={COMMIT}", flag]) == 1
    assert seen == [waits]
    with pytest.raises(SystemExit):
        deploy.main(["rollout", "--deployment-name=m", flag + "=False"])
