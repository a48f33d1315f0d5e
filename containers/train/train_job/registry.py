"""The model registry: which versions there are, which one to go on from, and the one this job adds.

Only the official SDK, with one call below it: ``register_version`` takes no name, and a version that exists
for a moment without the job's name would be registered a second time if the job died in that moment.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from determined.common.api import bindings, errors
from determined.experimental import Determined
from determined.experimental.client import Checkpoint, CheckpointState, Model, ModelVersion

from train_job.failure import TrainError, patiently

logger = logging.getLogger("train")

_COMMIT_ID = re.compile(r"[0-9a-f]{32}")


class Registry:
    """Versions of one model. Holds nothing but the SDK's client and the model's name."""

    def __init__(self, determined: Determined, model: str) -> None:
        self._determined = determined
        self._name = model

    def find_model(self) -> Model | None:
        """The model, or None. The server matches part of a name and ignores case: compare."""
        models = patiently(lambda: self._determined.list_models(name=self._name), "listing models")
        return next((model for model in models if model.name == self._name), None)

    def versions(self) -> list[ModelVersion]:
        """All versions, newest first."""
        model = self.find_model()
        if model is None:
            return []
        listed = patiently(model.list_versions, "listing model versions")
        return sorted(listed, key=lambda version: version.model_version, reverse=True)

    def register(
        self, checkpoint: str, job_id: str, labels: Sequence[str], metadata: Mapping[str, Any]
    ) -> ModelVersion:
        """Register a checkpoint as the version named after the job, unless that version is there already.

        A model that does not exist is created with ``labels`` [pipeline, repo].
        """
        return patiently(lambda: self._register(checkpoint, job_id, labels, metadata), "registering the model version")

    def _register(
        self, checkpoint: str, job_id: str, labels: Sequence[str], metadata: Mapping[str, Any]
    ) -> ModelVersion:
        existing = version_of_job(self.versions(), job_id)
        if existing is not None:
            return existing
        model = self.find_model() or self._create_model(labels)
        if model.archived:
            raise TrainError(
                f"model {self._name!r} is archived",
                "the model registry",
                "unarchive it, or register under another name with --model",
            )
        request = bindings.v1PostModelVersionRequest(
            checkpointUuid=checkpoint,
            modelName=self._name,
            name=job_id,
            notes=f"Job_id/commit_id = {job_id}",
            labels=list(labels),
            metadata=dict(metadata),
        )
        answer = bindings.post_PostModelVersion(self._determined._session, body=request, modelName=self._name)
        return ModelVersion._from_bindings(answer.modelVersion, self._determined._session)

    def _create_model(self, labels: Sequence[str]) -> Model:
        pipeline, repo = labels
        try:
            return self._determined.create_model(
                self._name,
                description=f"Trained by pipeline {pipeline} on commits to {repo}",
                labels=list(labels),
                metadata={"pipeline": pipeline, "repository": repo},
            )
        except errors.APIException as error:
            if error.status_code != 409:
                raise
            return self._determined.get_model(self._name)  # made by someone else since we looked


def version_of_job(versions: Sequence[ModelVersion], job_id: str) -> ModelVersion | None:
    """The version a job has registered, if any."""
    return next((version for version in versions if version.name == job_id), None)


def checkpoint_of(version: ModelVersion) -> Checkpoint:
    """The checkpoint of a version. Raises TrainError if the registry has none, since it was deleted."""
    if version.checkpoint is None:
        raise TrainError(
            f"the checkpoint of version {version.model_version} is gone",
            f"model {version.model_name!r} in the model registry",
            "delete the version, and run the job again",
        )
    return version.checkpoint


def data_commit_of(version: ModelVersion) -> str | None:
    """The data commit a version was trained on: its metadata's, or its name if that is a commit id."""
    commit = (version.metadata or {}).get("data_commit")
    if commit:
        return str(commit)
    return version.name if version.name and _COMMIT_ID.fullmatch(version.name) else None


def base_version(versions: Sequence[ModelVersion], data_commit: str) -> ModelVersion | None:
    """The newest version to go on from: trained on another commit than this one. None: start afresh.

    A job that does a commit over again (a pipeline updated with ``--reprocess``) thereby starts where the first
    one started, and trains on the same rows.
    """
    for version in versions:
        commit = data_commit_of(version)
        if commit is None:
            logger.info("version %d says not what data it was trained on: passing over it", version.model_version)
        elif commit != data_commit:
            _check_usable(version)
            return version
    return None


def other_code(versions: Sequence[ModelVersion], data_commit: str, code_commit: str) -> bool:
    """Whether the newest version was trained on this very data commit, with other code."""
    newest = versions[0] if versions else None
    if newest is None or data_commit_of(newest) != data_commit:
        return False
    return (newest.metadata or {}).get("code_commit") != code_commit


def _check_usable(version: ModelVersion) -> None:
    checkpoint = version.checkpoint
    if checkpoint is None or checkpoint.state is not CheckpointState.COMPLETED:
        raise TrainError(
            f"the checkpoint of version {version.model_version}, to train on from, is gone",
            f"model {version.model_name!r} in the model registry",
            "train afresh on all data with --no-incremental",
        )
