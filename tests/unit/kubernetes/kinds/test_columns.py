"""Cells of `kubectl get`."""

import datetime

import pytest

from pdk.base import clock
from pdk.kubernetes.kinds.builtin import BUILT_IN
from pdk.kubernetes.kinds.columns import age, human_duration
from pdk.kubernetes.kinds.resource import Resource, Resources


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (305, "5m5s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 600, "3h10m"),
        (8 * 3600, "8h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (8 * 86400, "8d"),
        (700 * 86400, "700d"),
        (740 * 86400, "2y10d"),
        (3000 * 86400, "8y"),
    ],
)
def test_durations(seconds, text):
    assert human_duration(seconds) == text


def test_ages():
    assert age(clock.to_rfc3339(clock.now() - datetime.timedelta(minutes=5))) == "5m"
    assert age(None) == age("yesterday") == "<unknown>"


def row(kind, obj):
    obj = {"metadata": {"name": "x", "creationTimestamp": clock.rfc3339_now()}} | obj
    resource = next(each for each in Resources(BUILT_IN) if each.kind == kind)
    return {column.name: column.cell(obj) for column in resource.columns}


def pod(**status):
    spec = {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}
    return row("Pod", {"spec": spec, "status": status})


def state(**kinds):
    return {"state": kinds}


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({}, "Pending"),
        ({"phase": "Running", "containerStatuses": [state(running={})]}, "Running"),
        ({"phase": "Succeeded", "containerStatuses": [state(terminated={"exitCode": 0})]}, "Completed"),
        (
            {"phase": "Running", "containerStatuses": [state(waiting={"reason": "CrashLoopBackOff"})]},
            "CrashLoopBackOff",
        ),
        ({"phase": "Failed", "containerStatuses": [state(terminated={"reason": "Error"})]}, "Error"),
        ({"phase": "Failed", "containerStatuses": [state(terminated={"exitCode": 3})]}, "ExitCode:3"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ({"phase": "Pending", "initContainerStatuses": [state(running={})]}, "Init:0/1"),
        ({"phase": "Pending", "initContainerStatuses": [state(waiting={"reason": "PodInitializing"})]}, "Init:0/1"),
        (
            {"phase": "Pending", "initContainerStatuses": [state(waiting={"reason": "CrashLoopBackOff"})]},
            "Init:CrashLoopBackOff",
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [state(terminated={"exitCode": 1, "reason": "Error"})]},
            "Init:Error",
        ),
        ({"phase": "Running", "initContainerStatuses": [state(terminated={"exitCode": 0})]}, "Running"),
    ],
)
def test_the_status_of_a_pod(status, shown):
    assert pod(**status)["Status"] == shown


def test_a_pod_being_deleted():
    metadata = {"name": "x", "deletionTimestamp": "2024-01-01T00:00:00Z"}
    assert row("Pod", {"metadata": metadata})["Status"] == "Terminating"


def test_other_kinds():
    service = {"spec": {"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 3, "protocol": "TCP"}]}}
    assert row("Service", service)["External-IP"] == "<pending>"
    assert row("Service", service)["Port(s)"] == "80:3/TCP"
    assert row("Service", {})["Type"] == "ClusterIP"
    assert row("Deployment", {"spec": {"replicas": 0}})["Ready"] == "0/0"
    assert row("Secret", {"type": "Opaque", "data": {"a": ""}})["Data"] == 1
    assert row("Event", {"involvedObject": {"kind": "Pod", "name": "p"}, "message": " m\n"})["Object"] == "pod/p"
    assert [column.name for column in Resource("", "v1", "Widget", "widgets").columns] == ["Name", "Age"]
