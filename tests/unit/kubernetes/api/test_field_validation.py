"""Unknown fields and wrong types."""

import pytest

from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.api.field_validation import validate_fields
from pdk.kubernetes.errors import BadRequest, ObjectInvalid

ISVC = serving_resources()["inferenceservices.serving.kserve.io"]
SCHEMA = ISVC.schema


def isvc(**predictor):
    return {"metadata": {"name": "x"}, "spec": {"predictor": predictor}}


def validated(obj, mode="Strict"):
    return validate_fields(ISVC, SCHEMA, obj, mode)


def test_a_full_inference_service_passes():
    full = isvc(
        minReplicas=0,
        serviceAccountName="sa",
        tolerations=[{"key": "a", "anything": True}],
        model={
            "modelFormat": {"name": "pytorch", "version": "1"},
            "storageUri": "s3://x",
            "env": [{"name": "A", "value": "b"}],
            "resources": {"limits": {"cpu": 1, "memory": "2Gi"}},
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        },
    )
    assert validated(full) == (full, [])


def test_modes():
    obj = isvc(modle={}, model={"modelFormat": {"name": "x"}, "env": [{"name": "a", "vlaue": "b"}]})
    with pytest.raises(BadRequest) as caught:
        validated(obj)
    assert str(caught.value) == (
        'InferenceService in version "v1beta1" cannot be handled as a InferenceService: strict decoding error: '
        'unknown field "spec.predictor.modle", unknown field "spec.predictor.model.env[0].vlaue"'
    )
    pruned, warnings = validated(obj, "Warn")
    assert pruned["spec"]["predictor"] == {"model": {"modelFormat": {"name": "x"}, "env": [{"name": "a"}]}}
    assert warnings == ['unknown field "spec.predictor.modle"', 'unknown field "spec.predictor.model.env[0].vlaue"']
    assert validated(obj, "Ignore") == (pruned, [])
    with pytest.raises(BadRequest, match="Unsupported value"):
        validated(obj, "Maybe")


def test_nulls_are_absent():
    assert validated(isvc(model=None, minReplicas=None))[0]["spec"] == {"predictor": {}}


@pytest.mark.parametrize(
    ("predictor", "text"),
    [
        ({"minReplicas": "1"}, 'spec.predictor.minReplicas in body must be of type integer: "string"'),
        ({"minReplicas": True}, 'must be of type integer: "boolean"'),
        ({"minReplicas": 1.5}, 'must be of type integer: "number"'),
        ({"model": []}, 'spec.predictor.model in body must be of type object: "array"'),
        ({"model": {"modelFormat": {}}}, "spec.predictor.model.modelFormat.name: Required value"),
        ({"model": {"storageUri": 1}}, 'storageUri in body must be of type string: "integer"'),
        ({"containers": [{"image": "x"}]}, "spec.predictor.containers[0].name: Required value"),
        ({"containers": ["x"]}, 'must be of type object: "string"'),
        ({"model": {"env": {"A": "b"}}}, 'must be of type array: "object"'),
        ({"nodeSelector": {"a": 1}}, 'must be of type string: "integer"'),
    ],
)
def test_wrong_types_are_errors_in_every_mode(predictor, text):
    with pytest.raises(ObjectInvalid) as caught:
        validated(isvc(**predictor), "Ignore")
    assert str(caught.value).startswith('InferenceService.serving.kserve.io "x" is invalid: ')
    assert text in str(caught.value)


def test_a_predictor_is_required():
    with pytest.raises(ObjectInvalid, match=r"spec\.predictor: Required value"):
        validated({"metadata": {"name": "x"}, "spec": {}})
