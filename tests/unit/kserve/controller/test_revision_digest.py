"""What makes a new revision and what does not."""

from pdk.kserve.controller.revision_digest import digest, pod_name


def isvc(annotations=None, **predictor):
    return {
        "metadata": {"annotations": annotations},
        "spec": {"predictor": {"model": {"storageUri": "s3://b/m"}} | predictor},
    }


def test_spec_and_propagated_annotations_count():
    base = digest(isvc())
    assert digest(isvc({"pach_id": "1"})) != base
    assert digest(isvc(minReplicas=1)) != base
    assert digest(isvc({"pach_id": "1"})) != digest(isvc({"pach_id": "2"}))


def test_what_steers_traffic_or_is_bookkeeping_does_not():
    base = digest(isvc())
    assert digest(isvc(canaryTrafficPercent=10)) == base
    for key in ("kubectl.kubernetes.io/last-applied-configuration", "modelFormat", "serving.kserve.io/stop"):
        assert digest(isvc({key: "x"})) == base


def test_the_order_of_keys_does_not():
    assert digest(isvc({"a": "1", "b": "2"})) == digest(isvc({"b": "2", "a": "1"}))


def test_pod_names_differ_each_time():
    names = {pod_name("churn-predictor-00001", "0123456789") for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("churn-predictor-00001-deployment-0123456789-") for name in names)
