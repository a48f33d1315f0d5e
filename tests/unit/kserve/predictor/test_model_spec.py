"""spec.predictor: what is served, and what is refused in which words."""

import base64

import pytest

from pdk.db.database import Database
from pdk.kserve.predictor.failures import InvalidPredictorSpec, ModelFailure, ModelLoadFailed, NoSupportingRuntime
from pdk.kserve.predictor.model_spec import parse_model_spec, resolve_environment
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes


def predictor(more=None, **model):
    return {"model": {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://b/m", **model}, **(more or {})}


def test_the_usual_one():
    spec = parse_model_spec(predictor({"serviceAccountName": "sa", "containerConcurrency": 4, "timeout": 30}))
    assert (spec.storage_uri, spec.service_account, spec.concurrency, spec.timeout) == ("s3://b/m", "sa", 4, 30)


def test_the_old_form_and_explicit_defaults():
    assert parse_model_spec({"pytorch": {"storageUri": "s3://b/m", "protocolVersion": "v1"}}).storage_uri == "s3://b/m"
    named = predictor(
        runtime="kserve-torchserve", protocolVersion="v1", modelFormat={"name": "pytorch", "version": "1"}
    )
    assert parse_model_spec(named).timeout is None


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"sklearn": {"storageUri": "s3://b/m"}}, "NoSupportingRuntime", "model type sklearn"),
        (predictor(modelFormat={"name": "onnx"}), "NoSupportingRuntime", "model type onnx"),
        (predictor(modelFormat={"name": "pytorch", "version": "2"}), "NoSupportingRuntime", "pytorch:2"),
        (predictor(protocolVersion="v2"), "NoSupportingRuntime", "protocol v2: only v1"),
        (predictor(runtime="mine"), "RuntimeNotRecognized", "Waiting for runtime mine"),
        (predictor(storageUri=""), "InvalidPredictorSpec", "storageUri is required"),
        (predictor(storageUri=None, storage={"key": "x"}), "InvalidPredictorSpec", "model.storage is not supported"),
        (predictor(storageUri="gs://b/m"), "InvalidPredictorSpec", "scheme 'gs' is not supported"),
        ({"containers": [{}]}, "InvalidPredictorSpec", "custom containers"),
        ({}, "InvalidPredictorSpec", "spec.predictor.model is required"),
        (predictor(env="x"), "InvalidPredictorSpec", "env must be a list"),
        (predictor(env=[{"value": "x"}]), "InvalidPredictorSpec", "needs a name"),
        (predictor(env=[{"name": "A", "valueFrom": {"fieldRef": {}}}]), "InvalidPredictorSpec", "secretKeyRef"),
        (predictor({"timeout": "soon"}), "InvalidPredictorSpec", "timeout must be a number"),
        (predictor({"containerConcurrency": -1}), "InvalidPredictorSpec", "not negative"),
        (predictor(resources={"limits": {"cpu": "lots"}}), "InvalidPredictorSpec", "not a quantity"),
    ],
)
def test_refusals(spec, reason, words):
    with pytest.raises(ModelFailure) as caught:
        parse_model_spec(spec)
    assert caught.value.reason == reason
    assert words in str(caught.value)
    assert isinstance(caught.value, InvalidPredictorSpec | NoSupportingRuntime)


@pytest.mark.parametrize(("cpu", "cores"), [("4", 4), ("2500m", 2), ("100m", 1), (3, 3), ("0.5", 1)])
def test_cpu_limits(cpu, cores):
    assert parse_model_spec(predictor(resources={"limits": {"cpu": cpu}})).cpus == cores


def test_environment_from_values_secrets_and_config_maps(tmp_path):
    store = ObjectStore(Database(tmp_path / "db", OBJECT_MIGRATIONS), Changes())
    store.create("namespaces", {"metadata": {"name": "ns"}})
    store.create(
        "secrets", {"metadata": {"name": "s", "namespace": "ns"}, "data": {"k": base64.b64encode(b"v").decode()}}
    )
    store.create("configmaps", {"metadata": {"name": "c", "namespace": "ns"}, "data": {"k": "w"}})
    env = [
        {"name": "A", "value": "1"},
        {"name": "EMPTY", "value": ""},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
    ]
    found = resolve_environment(store, "ns", parse_model_spec(predictor(env=env)))
    assert found == {"A": "1", "EMPTY": "", "B": "v", "C": "w"}
    for reference, words in (
        ({"name": "s", "key": "x"}, "couldn't find key x"),
        ({"name": "t", "key": "k"}, "not found"),
    ):
        missing = parse_model_spec(predictor(env=[{"name": "B", "valueFrom": {"secretKeyRef": reference}}]))
        with pytest.raises(ModelLoadFailed, match=words):
            resolve_environment(store, "ns", missing)
