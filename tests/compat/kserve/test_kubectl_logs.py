"""kubectl logs: tail, container, follow, selectors, errors."""

import pytest
from targets import NAMESPACE
from waiting import within

pytestmark = pytest.mark.ours

ISVC = "inferenceservices.serving.kserve.io"
LABEL = "serving.kserve.io/inferenceservice=churn"


def pod_name(kube):
    return kube.kubectl("get", "pods", "-o", "name").strip()


def test_logs_of_the_default_container(kube):
    kube.serve_churn()
    pod = pod_name(kube)
    assert kube.kubectl("logs", pod) == "".join(f"line {number}\n" for number in range(5))
    assert kube.kubectl("logs", pod, "--tail=2") == "line 3\nline 4\n"
    assert kube.kubectl("logs", pod, "--limit-bytes=10") == "line 0\nlin"
    assert kube.kubectl("logs", pod, "-c", "storage-initializer") == "copied 2 files\n"
    assert kube.kubectl("logs", "-l", LABEL, "-c", "kserve-container", "--tail=1") == "line 4\n"
    assert kube.kubectl("logs", pod, "--since=1h", "--timestamps", "--tail=1").endswith("Z line 4\n")
    assert kube.kubectl("logs", pod, "--since-time=2100-01-01T00:00:00Z") == ""


def test_what_cannot_be_read(kube):
    kube.serve_churn()
    pod = pod_name(kube)
    assert "container nope is not valid for pod" in kube.refused("logs", pod, "-c", "nope")
    assert "previous terminated container" in kube.refused("logs", pod, "--previous")
    assert 'pods "x" not found' in kube.refused("logs", "x")


def test_a_container_that_has_not_started(kube):
    kube.serve_churn()
    waiting = {"name": "queue-proxy", "state": {"waiting": {"reason": "PodInitializing"}}}
    name = pod_name(kube).removeprefix("pod/")
    kube.store.edit(
        "pods", NAMESPACE, name, lambda pod: pod | {"status": {"containerStatuses": [waiting]}}, status=True
    )
    assert "is waiting to start: PodInitializing" in kube.refused("logs", name, "-c", "queue-proxy")


def test_following_ends_when_the_container_does(kube):
    kube.serve_churn()
    name = pod_name(kube).removeprefix("pod/")
    with kube.background("logs", "-f", name, "--tail=1") as following:
        assert following.stdout.readline() == "line 4\n"
        kube.logs.append(NAMESPACE, name, "kserve-container", "one more")
        assert following.stdout.readline() == "one more\n"
        kube.logs.append(NAMESPACE, name, "kserve-container", "the last")
        ended = {"name": "kserve-container", "state": {"terminated": {"exitCode": 1}}}
        kube.store.edit(
            "pods", NAMESPACE, name, lambda pod: pod | {"status": {"containerStatuses": [ended]}}, status=True
        )
        assert following.stdout.read() == "the last\n"
        assert following.wait(5) == 0


def test_following_ends_when_the_server_stops(kube):
    kube.serve_churn()
    with kube.background("logs", "-f", pod_name(kube), "--tail=1") as following:
        following.stdout.readline()
        within(3, kube.api.stop)
        following.wait(5)
        kube.db.close()
        kube.start()


def test_the_log_of_the_run_before(kube):
    kube.serve_churn()
    name = pod_name(kube).removeprefix("pod/")
    kube.logs.rotate(NAMESPACE, name, "kserve-container")
    kube.logs.append(NAMESPACE, name, "kserve-container", "anew")
    assert kube.kubectl("logs", name, "--previous", "--tail=1") == "line 4\n"
    assert kube.kubectl("logs", name) == "anew\n"
