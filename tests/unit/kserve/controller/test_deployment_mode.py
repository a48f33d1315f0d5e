"""Hosts in both modes."""

import pytest

from pdk.kserve.controller.deployment_mode import Addresses, deployment_mode
from pdk.kserve.kinds.names import DeploymentMode


@pytest.mark.parametrize(
    ("annotation", "settled", "mode"),
    [
        (None, None, DeploymentMode.KNATIVE),
        ("Serverless", None, DeploymentMode.KNATIVE),
        ("RawDeployment", None, DeploymentMode.STANDARD),
        ("Standard", None, DeploymentMode.STANDARD),
        ("Standard", "Knative", DeploymentMode.KNATIVE),
        ("ModelMesh", None, DeploymentMode.KNATIVE),
    ],
)
def test_the_mode_is_settled_once(annotation, settled, mode):
    annotations = {"serving.kserve.io/deploymentMode": annotation} if annotation else {}
    assert deployment_mode(settled, annotations) is mode


def test_hosts():
    knative = Addresses("ns", "Churn", "example.com")
    assert knative.hosts[0] == "churn.ns.example.com"
    assert {"churn.ns.localhost", "churn-predictor.ns.example.com", "churn.ns.svc.cluster.local", "churn.ns"} <= set(
        knative.hosts
    )
    standard = Addresses("ns", "churn", "example.com", DeploymentMode.STANDARD)
    assert standard.hosts[0] == "churn-ns.example.com"
    assert standard.predictor_host == "churn-predictor-ns.example.com"
    assert standard.internal_host == "churn-predictor.ns.svc.cluster.local"
    assert len(standard.hosts) == len(set(standard.hosts))
