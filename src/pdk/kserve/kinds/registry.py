"""What KServe adds to the Kubernetes API: its kinds, and who makes the pods, Deployments and Services.

Handed to the object store by the composition root, where a cluster has CRDs and webhooks installed.
"""

from dataclasses import replace

from pdk.kserve.kinds.inference_service import INFERENCE_SERVICE
from pdk.kserve.kinds.runtimes import CLUSTER_SERVING_RUNTIME, SERVING_RUNTIME
from pdk.kubernetes.kinds.builtin import BUILT_IN
from pdk.kubernetes.kinds.pods import POD
from pdk.kubernetes.kinds.resource import Resources
from pdk.kubernetes.kinds.workloads import DEPLOYMENT, SERVICE


def serving_resources() -> Resources:
    """Return the kinds of Kubernetes and of KServe."""
    made = [
        replace(each, refusal=f"{each.plural} belong to InferenceServices and are made by their controller")
        for each in (POD, SERVICE, DEPLOYMENT)
    ]
    return Resources([*BUILT_IN, *made, INFERENCE_SERVICE, CLUSTER_SERVING_RUNTIME, SERVING_RUNTIME])
