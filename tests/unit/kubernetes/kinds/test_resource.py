"""The registry of kinds."""

import pytest

from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.errors import PathNotFound


def test_a_resource_is_found_by_key_and_by_url():
    resources = serving_resources()
    isvc = resources["inferenceservices.serving.kserve.io"]
    assert isvc is resources.find("serving.kserve.io", "v1beta1", "inferenceservices")
    assert isvc.api_version == "serving.kserve.io/v1beta1"
    assert isvc.qualified_kind == "InferenceService.serving.kserve.io"
    assert resources["pods"].api_version == "v1"
    assert resources.find("serving.kserve.io", "v1", "inferenceservices") is None
    assert resources.find("", "v1", "nodes") is None
    with pytest.raises(PathNotFound):
        resources["nodes"]


def test_the_core_group_comes_first():
    assert serving_resources().group_versions()[0] == ("", "v1")
    assert serving_resources().group_versions().index(
        ("serving.kserve.io", "v1beta1")
    ) < serving_resources().group_versions().index(("serving.kserve.io", "v1alpha1"))
