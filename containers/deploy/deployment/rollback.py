"""Puts back what a failed rollout replaced. Called by `rollout.py`.

A controller goes on trying for as long as the spec names the new build, and an answer found wrong is found after
traffic has moved: so a job that fails must not leave its build in the spec. What was there before travels in an
annotation of the very write that replaces it, so a job that died and was started again still knows it.
"""

import json
from collections.abc import Mapping
from typing import Any

from deployment import isvc
from deployment.cluster import Cluster

NOTHING = "null"


def record(live: Mapping[str, Any] | None, job: str) -> str:
    """Give the annotation that says what `live` is; None is a service that is not there yet.

    What this job wrote itself is nothing to go back to: then the annotation of that write is kept.
    """
    if live is None:
        return NOTHING
    annotations = dict(_annotations(live))
    previous: str | None = annotations.pop(isvc.PREVIOUS, None)
    if annotations.get(isvc.JOB) == job and previous is not None:
        return previous
    return json.dumps({"annotations": annotations, "spec": live["spec"]})


def put_back(cluster: Cluster, name: str, job: str) -> str:
    """Undo the write of `job`, unless somebody has written since; says what was done.

    Raises `Conflicting` if the object changes meanwhile, and `ClusterError`.
    """
    live = cluster.get(name)
    if live is None:
        return "nothing to put back: the InferenceService is gone"
    annotations = _annotations(live)
    if annotations.get(isvc.JOB) != job:
        return f"nothing put back: job {annotations.get(isvc.JOB)} has written the InferenceService since"
    previous = annotations.get(isvc.PREVIOUS)
    if previous is None:
        return f"nothing put back: the InferenceService lost its annotation {isvc.PREVIOUS}"
    if previous == NOTHING:
        cluster.delete(name, live["metadata"]["resourceVersion"])
        return "deleted the InferenceService again: there was none before"
    before = json.loads(previous)
    metadata = {**live["metadata"], "annotations": before["annotations"]}
    cluster.restore({**live, "metadata": metadata, "spec": before["spec"]})
    version = before["annotations"].get(isvc.MODEL_VERSION)
    return f"put model version {version} back" if version else "put back the model that was there before"


def _annotations(live: Mapping[str, Any]) -> Mapping[str, Any]:
    return live["metadata"].get("annotations") or {}
