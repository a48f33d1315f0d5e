"""The schemas name the fields the kserve SDK's own models have, no more and no fewer."""

import pytest
from kserve import models

from pdk.kserve.kinds.schemas import FRAMEWORKS, inference_service_spec
from pdk.kubernetes.kinds.schemas import metadata_schema

SPEC = inference_service_spec()["properties"]
PREDICTOR = SPEC["predictor"]["properties"]


def json_names(model):
    return set(model.attribute_map.values())


@pytest.mark.parametrize(
    ("schema", "model"),
    [
        (SPEC, models.V1beta1InferenceServiceSpec),
        (PREDICTOR, models.V1beta1PredictorSpec),
        (PREDICTOR["model"]["properties"], models.V1beta1ModelSpec),
        (PREDICTOR["pytorch"]["properties"], models.V1beta1TorchServeSpec),
        (PREDICTOR["model"]["properties"]["modelFormat"]["properties"], models.V1beta1ModelFormat),
        (PREDICTOR["model"]["properties"]["storage"]["properties"], models.V1beta1StorageSpec),
        (SPEC["transformer"]["properties"], models.V1beta1TransformerSpec),
        (SPEC["explainer"]["properties"], models.V1beta1ExplainerSpec),
    ],
)
def test_fields_are_those_of_the_sdk(schema, model):
    assert set(schema) == json_names(model)


def test_types_are_those_of_the_sdk():
    types = {"str": "string", "int": "integer", "bool": "boolean"}
    for attribute, sdk_type in models.V1beta1PredictorSpec.openapi_types.items():
        name = models.V1beta1PredictorSpec.attribute_map[attribute]
        expected = "array" if sdk_type.startswith("list[") else types.get(sdk_type, "object")
        assert PREDICTOR[name]["type"] == expected, name
    assert set(FRAMEWORKS) <= set(PREDICTOR)


def test_metadata_has_the_fields_of_kubernetes():
    from kubernetes.client import V1ObjectMeta  # noqa: PLC0415 - a heavy import only this test needs

    assert set(metadata_schema()["properties"]) == set(V1ObjectMeta.attribute_map.values())
