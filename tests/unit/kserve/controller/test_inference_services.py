"""InferenceServices from apply to gone: rollouts, failures, canaries, deletion, restarts."""

import os
import signal

import pytest

from pdk.kserve.predictor.revisions import RevisionState
from pdk.kserve.predictor.routes import Backend
from pdk.kubernetes.store.metadata import timestamp
from pdk.process import tree

ISVC = "inferenceservices.serving.kserve.io"


def test_the_first_revision(cluster):
    created = cluster.apply(cluster.model("one"), annotations={"pach_id": "job1", "modelFormat": "x"})
    status = cluster.ready(1)
    assert status["observedGeneration"] == created["metadata"]["generation"]
    assert status["url"] == "http://churn.default.example.com"
    assert status["address"]["url"] == "http://churn.default.svc.cluster.local"
    assert status["modelStatus"] == {
        "copies": {"failedCopies": 0, "totalCopies": 1},
        "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        "transitionStatus": "UpToDate",
    }
    predictor = status["components"]["predictor"]
    assert predictor["latestCreatedRevision"] == predictor["latestReadyRevision"] == "churn-predictor-00001"
    assert predictor["traffic"] == [{"latestRevision": True, "percent": 100, "revisionName": "churn-predictor-00001"}]
    assert cluster.isvc()["metadata"]["finalizers"] == ["inferenceservice.finalizers"]
    assert cluster.targets() == [("1", 100)]
    assert cluster.routes.by_host("churn.default.localhost").key == "default/churn"
    assert dict(cluster.routes.get("default/churn").targets[0][0].headers) == {"x-pdk-job": "job1"}
    reasons = [reason for _, reason, _ in cluster.events()]
    assert sorted(reasons) == ["InferenceServiceReady", "RevisionReady"]


def test_what_kubectl_sees_beside_it(cluster):
    cluster.apply(cluster.model("one"), annotations={"pach_id": "job1"}, serviceAccountName="pach-deploy")
    cluster.ready(1)
    (pod,), _ = cluster.store.list("pods", "default", "serving.kserve.io/inferenceservice=churn,component=predictor")
    assert pod["metadata"]["name"].startswith("churn-predictor-00001-deployment-")
    assert pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] == "kserve-container"
    assert pod["metadata"]["annotations"]["pach_id"] == "job1"
    assert pod["spec"]["serviceAccountName"] == "pach-deploy"
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["containerStatuses"][0]["ready"] is True
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    (deployment,), _ = cluster.store.list("deployments.apps")
    assert pod["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"]
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == cluster.isvc()["metadata"]["uid"]
    assert deployment["status"]["readyReplicas"] == 1
    service = cluster.store.get("services", "default", "churn-predictor")
    assert service["metadata"]["ownerReferences"][0]["kind"] == "InferenceService"


def test_an_annotation_makes_a_new_revision_and_the_old_one_goes(cluster):
    uri = cluster.serve("one", annotations={"pach_id": "job1"})
    before = cluster.pid()
    cluster.apply(uri, annotations={"pach_id": "job2"})
    status = cluster.ready(2)
    assert status["components"]["predictor"]["previousRolledoutRevision"] == "churn-predictor-00001"
    assert cluster.targets() == [("2", 100)]
    cluster.until(lambda: len(cluster.revisions.all()) == 1)
    assert tree.identify(before) is None
    assert [pod["metadata"]["name"][:21] for pod in cluster.store.list("pods")[0]] == ["churn-predictor-00002"]
    assert len(list((cluster.root / "models").glob("*/*"))) == 1


def test_the_same_spec_makes_no_new_revision(cluster):
    uri = cluster.serve("one", annotations={"kubectl.kubernetes.io/last-applied-configuration": "a"})
    cluster.apply(uri, annotations={"kubectl.kubernetes.io/last-applied-configuration": "b"}, canaryTrafficPercent=50)
    cluster.until(lambda: cluster.status()["observedGeneration"] == 2)
    assert cluster.status()["components"]["predictor"]["latestCreatedRevision"] == "churn-predictor-00001"
    assert cluster.targets() == [("1", 100)]


def test_nothing_is_written_while_nothing_changes(cluster, looks):
    again = cluster.again()
    again.serve("one")
    again.until(lambda: looks[-1] == again.store.revision())
    before, looked = again.store.revision(), len(looks)
    again.until(lambda: len(looks) >= looked + 20)
    assert again.store.revision() == before


def test_a_failing_revision_leaves_the_old_one_serving(cluster):
    cluster.serve("good")
    cluster.apply(cluster.model("bad", {"load_error": "weights do not fit", "loading": True}))
    cluster.until(lambda: cluster.status()["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad")
    status = cluster.status()
    assert cluster.targets() == [("1", 100)]
    assert status["modelStatus"]["states"] == {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"}
    failure = status["modelStatus"]["lastFailureInfo"]
    assert failure["reason"] == "ModelLoadFailed"
    assert "weights do not fit" in failure["message"]
    assert failure["modelRevisionName"] == "churn-predictor-00002"
    ready = cluster.condition()
    assert (ready["status"], ready["reason"]) == ("False", "RevisionFailed")
    assert "churn-predictor-00002" in ready["message"]
    assert cluster.condition("IngressReady")["status"] == "True"
    assert status["components"]["predictor"]["latestCreatedRevision"] == "churn-predictor-00002"
    assert status["components"]["predictor"]["latestReadyRevision"] == "churn-predictor-00001"
    assert ("Warning", "ModelLoadFailed") in [(kind, reason) for kind, reason, _ in cluster.events()]
    assert ("Warning", "InferenceServiceNotReady") in [(kind, reason) for kind, reason, _ in cluster.events()]
    cluster.until(lambda: cluster.revisions.all()[-1].restarts >= 2)
    assert cluster.status()["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    pods = {pod["metadata"]["name"][20]: pod for pod in cluster.store.list("pods")[0]}
    assert pods["2"]["status"]["containerStatuses"][0]["restartCount"] >= 1
    cluster.apply(cluster.model("fixed"))
    assert "lastFailureInfo" not in cluster.ready(3)["modelStatus"]


def test_a_newer_spec_supersedes_one_that_still_loads(cluster):
    cluster.apply(cluster.model("slow", {"loading": True}))
    cluster.until(lambda: any(each.process and each.process.pid for each in cluster.revisions.all()))
    slow = cluster.pid()
    cluster.apply(cluster.model("good"))
    cluster.ready(2)
    cluster.until(lambda: cluster.numbers() == [2])
    assert tree.identify(slow) is None


def test_an_invalid_spec_leaves_the_old_one_serving(cluster):
    uri = cluster.serve("one")
    cluster.apply("gs://bucket/model")
    cluster.until(lambda: cluster.status()["modelStatus"]["transitionStatus"] == "InvalidSpec")
    status = cluster.status()
    assert status["modelStatus"]["lastFailureInfo"]["reason"] == "InvalidPredictorSpec"
    assert "scheme 'gs' is not supported" in cluster.condition()["message"]
    assert cluster.targets() == [("1", 100)]
    cluster.apply(uri)
    cluster.until(lambda: cluster.condition()["status"] == "True")
    assert cluster.rolled_out() == "churn-predictor-00001"


def test_no_runtime_for_the_format(cluster):
    spec = {"predictor": {"sklearn": {"storageUri": "s3://b/m"}}}
    cluster.store.create(ISVC, {"metadata": {"name": "sk", "namespace": "default"}, "spec": spec})
    cluster.until(lambda: cluster.status("sk"))
    assert cluster.status("sk")["modelStatus"]["lastFailureInfo"]["reason"] == "NoSupportingRuntime"
    assert cluster.condition("PredictorReady", "sk")["status"] == "False"


def test_a_commit_that_is_still_open_is_waited_for(cluster):
    later = (cluster.root / "sources/later").as_uri()
    cluster.apply(later)
    cluster.until(lambda: cluster.condition("PredictorReady").get("reason") == "WaitingForStorage")
    assert cluster.condition()["status"] == "Unknown"
    assert "lastFailureInfo" not in cluster.status()["modelStatus"]
    assert cluster.status()["modelStatus"]["transitionStatus"] == "InProgress"
    (pod,) = cluster.store.list("pods")[0]
    cluster.until(
        lambda: "CrashLoopBackOff" in str(cluster.store.list("pods")[0][0]["status"]["initContainerStatuses"])
    )
    assert pod["status"]["phase"] == "Pending"
    assert "no objects under" in cluster.routes.get("default/churn").reason
    cluster.model("later")
    cluster.ready(1)


def test_a_canary_gets_its_share_and_is_promoted(cluster):
    cluster.serve("one")
    two = cluster.model("two")
    cluster.apply(two, canaryTrafficPercent=20)
    cluster.until(lambda: cluster.targets() == [("2", 20), ("1", 80)])
    cluster.until(lambda: cluster.condition()["status"] == "True")
    assert cluster.status()["components"]["predictor"]["traffic"] == [
        {"latestRevision": True, "percent": 20, "revisionName": "churn-predictor-00002"},
        {"latestRevision": False, "percent": 80, "revisionName": "churn-predictor-00001", "tag": "prev"},
    ]
    assert cluster.rolled_out() == "churn-predictor-00001"
    cluster.apply(two, canaryTrafficPercent=0)
    cluster.until(lambda: cluster.targets() == [("1", 100)])
    assert len(cluster.revisions.all()) == 2
    cluster.apply(two)
    cluster.ready(2)
    assert cluster.targets() == [("2", 100)]
    cluster.until(lambda: len(cluster.revisions.all()) == 1)


@pytest.mark.parametrize("share", [0, 20])
def test_a_canary_gets_no_more_than_its_share_while_the_stable_revision_is_down(cluster, share):
    cluster.serve("one")
    cluster.apply(cluster.model("two"), canaryTrafficPercent=share)
    both = [("2", share), ("1", 100 - share)][0 if share else 1 :]
    cluster.until(lambda: cluster.targets() == both and len(cluster.revisions.all()) == 2)
    cluster.until(lambda: cluster.revisions.all()[1].state is RevisionState.READY)
    stable = cluster.revisions.all()[0]
    behaviour = next((cluster.root / "models").glob("*/1/models/model-store")) / "behaviour.json"
    behaviour.write_text('{"loading": true}')
    os.kill(stable.process.pid, signal.SIGKILL)
    cluster.until(lambda: cluster.targets() == both[: 1 if share else 0])
    cluster.until(lambda: cluster.condition("IngressReady")["status"] == "Unknown")
    assert cluster.rolled_out() == "churn-predictor-00001"
    route = cluster.routes.get("default/churn")
    assert "churn-predictor-00001" in route.reason
    answers = [cluster.routes.acquire("default/churn") for _ in range(200)]
    given = [each for each in answers if isinstance(each, Backend)]
    assert {each.revision[-1] for each in given} == ({"2"} if share else set())
    assert len(given) < 100
    again = cluster.again()
    again.until(lambda: again.targets() == both[: 1 if share else 0])
    behaviour.unlink()
    again.until(lambda: again.targets() == both)
    assert again.rolled_out() == "churn-predictor-00001"
    assert again.revisions.all()[0].number == 1
    again.until(lambda: again.condition()["status"] == "True")


def test_a_stable_revision_that_was_stopped_holds_no_share(cluster):
    cluster.serve("one")
    backend = cluster.routes.acquire("default/churn")
    two = cluster.model("two")
    cluster.apply(two, canaryTrafficPercent=20)
    cluster.until(lambda: cluster.targets() == [("2", 20), ("1", 80)])
    cluster.apply(two, annotations={"serving.kserve.io/stop": "true"}, canaryTrafficPercent=20)
    # A request under way keeps it from being gone when the service is wanted again.
    cluster.until(lambda: cluster.revisions.all()[0].state is RevisionState.DRAINING)
    cluster.apply(two, canaryTrafficPercent=20)
    cluster.until(lambda: cluster.targets() == [("3", 100)])
    cluster.routes.release(backend)
    cluster.until(lambda: cluster.numbers() == [3])


def test_a_crash_is_told_and_mended(cluster):
    cluster.serve("one")
    os.kill(cluster.pid(), signal.SIGKILL)
    cluster.until(lambda: any("while it served" in text for _, _, text in cluster.events()))
    cluster.until(lambda: cluster.revisions.all()[0].restarts == 1)
    cluster.ready(1)
    cluster.until(lambda: cluster.store.list("pods")[0][0]["status"]["containerStatuses"][0]["restartCount"] == 1)


def test_the_stop_annotation(cluster):
    uri = cluster.serve("one")
    cluster.apply(uri, annotations={"serving.kserve.io/stop": "true"})
    cluster.until(lambda: cluster.condition("Stopped").get("status") == "True")
    assert cluster.condition()["reason"] == "Stopped"
    assert cluster.processes() == []
    assert cluster.targets() == []
    cluster.apply(uri)
    cluster.ready(2)


def test_deleting_takes_everything_down_before_the_object_goes(cluster):
    cluster.serve("one")
    returned = cluster.store.delete(ISVC, "default", "churn")
    assert returned["metadata"]["finalizers"] == ["inferenceservice.finalizers"]
    cluster.until(lambda: cluster.isvc() is None)
    assert cluster.processes() == []
    assert cluster.routes.get("default/churn") is None
    for resource in ("pods", "deployments.apps"):
        assert cluster.store.list(resource)[0] == []
    assert cluster.store.find("services", "default", "churn-predictor") is None
    assert cluster.revisions.all() == []
    assert cluster.revisions.keys() == []
    assert not list((cluster.root / "models").glob("*/1"))


def test_deleting_while_it_loads(cluster):
    cluster.apply(cluster.model("slow", {"loading": True}))
    cluster.until(cluster.processes)
    cluster.store.delete(ISVC, "default", "churn")
    cluster.until(lambda: cluster.isvc() is None)
    assert cluster.processes() == []


def test_a_service_of_the_same_name_starts_at_one_again(cluster):
    uri = cluster.serve("one")
    cluster.store.delete(ISVC, "default", "churn")
    cluster.until(lambda: cluster.isvc() is None)
    cluster.apply(uri)
    cluster.ready(1)
    assert len(cluster.revisions.all()) == 1


def test_two_services_do_not_disturb_each_other(cluster):
    cluster.apply(cluster.model("one"), "one")
    cluster.apply(cluster.model("slow", {"loading": True}), "slow")
    cluster.apply(cluster.model("two"), "two")
    cluster.ready(1, "one")
    cluster.ready(1, "two")
    ports = {cluster.routes.get(f"default/{name}").targets[0][0].port for name in ("one", "two")}
    assert len(ports) == 2


def test_standard_mode_has_its_own_hosts(cluster):
    cluster.apply(cluster.model("one"), annotations={"serving.kserve.io/deploymentMode": "RawDeployment"})
    cluster.until(lambda: cluster.condition().get("status") == "True")
    status = cluster.status()
    assert status["deploymentMode"] == "Standard"
    assert status["url"] == "http://churn-default.example.com"
    assert {each["type"] for each in status["conditions"]} == {"PredictorReady", "IngressReady", "Ready"}
    assert cluster.routes.by_host("churn-default.example.com").name == "churn"


def test_a_restarted_server_serves_at_once(cluster):
    cluster.serve("one")
    pid = cluster.pid()
    again = cluster.again()
    assert again.targets() == [("1", 100)]
    assert again.pid() == pid
    again.apply(again.model("two"))
    again.ready(2)
    again.until(lambda: tree.identify(pid) is None)


def test_a_rollout_goes_on_after_a_restart(cluster):
    cluster.serve("one")
    cluster.apply(cluster.model("two", {"seconds": 1.0}))
    cluster.until(lambda: any(each.number == 2 and each.process for each in cluster.revisions.all()))
    again = cluster.again()
    assert again.targets() == [("1", 100)]
    again.ready(2)
    again.until(lambda: len(again.revisions.all()) == 1)
    assert len([p for p in again.processes() if tree.identify(p)]) == 1


def test_an_object_deleted_while_no_server_ran_is_cleaned_up(cluster):
    cluster.serve("one")
    cluster.controller.stop(keep_predictors=True)
    cluster.store.delete(ISVC, "default", "churn")
    again = cluster.again()
    again.until(lambda: again.isvc() is None)
    again.until(lambda: again.processes() == [])


def test_an_object_without_finalizer_that_vanished_is_cleaned_up(cluster):
    cluster.serve("one")

    def bare(obj):
        obj["metadata"]["finalizers"] = []
        obj["metadata"]["annotations"] = {"x": timestamp()}
        return obj

    cluster.controller.stop(keep_predictors=True)
    cluster.store.edit(ISVC, "default", "churn", bare)
    cluster.store.delete(ISVC, "default", "churn")
    again = cluster.again()
    again.until(lambda: again.revisions.keys() == [] and again.processes() == [])


def test_a_revision_that_refuses_connections_is_looked_at_at_once(cluster, looks):
    rare = cluster.again(health_seconds=60.0, resync_seconds=60.0)
    rare.serve("one")
    # The look that its own status calls for is over: the next one is a minute away.
    rare.until(lambda: looks[-1] == rare.store.revision())
    pid = rare.pid()
    os.kill(pid, signal.SIGKILL)
    rare.until(lambda: tree.identify(pid) is None)
    assert rare.revisions.all()[0].restarts == 0

    def restarted():
        # As the ingress does for every request it cannot pass on; a look may come before the last thread has ended.
        rare.routes.report_unreachable("default/churn")
        return rare.revisions.all()[0].restarts == 1

    rare.until(restarted)
    rare.ready(1)
