"""Hosts in both modes."""

import pytest

from pdk.kserve.controller.deployment_mode import KNATIVE, STANDARD, Addresses, deployment_mode


@pytest.mark.parametrize(
    ("annotation", "settled", "mode"),
    [
        (None, None, KNATIVE),
        ("Serverless", None, KNATIVE),
        ("RawDeployment", None, STANDARD),
        ("Standard", None, STANDARD),
        ("Standard", "Knative", KNATIVE),
        ("ModelMesh", None, KNATIVE),
    ],
)
def test_the_mode_is_settled_once(annotation, settled, mode):
    annotations = {"serving.kserve.io/deploymentMode": annotation} if annotation else {}
    status = {"deploymentMode": settled} if settled else {}
    assert deployment_mode({"metadata": {"annotations": annotations}, "status": status}) == mode


def test_hosts():
    knative = Addresses("ns", "Churn", "example.com")
    assert knative.hosts[0] == "churn.ns.example.com"
    assert {"churn.ns.localhost", "churn-predictor.ns.example.com", "churn.ns.svc.cluster.local", "churn.ns"} <= set(
        knative.hosts
    )
    standard = Addresses("ns", "churn", "example.com", STANDARD)
    assert standard.hosts[0] == "churn-ns.example.com"
    assert standard.predictor_host == "churn-predictor-ns.example.com"
    assert standard.internal_host == "churn-predictor.ns.svc.cluster.local"
    assert len(standard.hosts) == len(set(standard.hosts))
