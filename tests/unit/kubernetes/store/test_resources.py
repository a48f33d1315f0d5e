"""The registry of kinds."""

import pytest

from pdk.kubernetes.errors import PathNotFound
from pdk.kubernetes.store.resources import Resources


def test_a_resource_is_found_by_key_and_by_url():
    resources = Resources()
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
    assert Resources().group_versions()[0] == ("", "v1")
    assert Resources().group_versions().index(("serving.kserve.io", "v1beta1")) < Resources().group_versions().index(
        ("serving.kserve.io", "v1alpha1")
    )
