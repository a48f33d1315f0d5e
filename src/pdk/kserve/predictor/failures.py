"""Why a revision does not serve, in KServe's words.

    ModelFailure
    ├── InvalidPredictorSpec   the InferenceService itself is at fault; only an edit helps
    ├── NoSupportingRuntime    no runtime serves this model format and protocol
    ├── ModelLoadFailed        storage, archive or handler; retried with backoff
    └── RuntimeUnhealthy       TorchServe ended or did not get ready

Raised in `predictor`, turned into status by `controller`.
"""

import enum

from pdk.base.errors import FailedPrecondition


class FailureReason(enum.StrEnum):
    """`status.modelStatus.lastFailureInfo.reason`."""

    MODEL_LOAD_FAILED = "ModelLoadFailed"
    RUNTIME_UNHEALTHY = "RuntimeUnhealthy"
    NO_SUPPORTING_RUNTIME = "NoSupportingRuntime"
    RUNTIME_NOT_RECOGNIZED = "RuntimeNotRecognized"
    INVALID_PREDICTOR_SPEC = "InvalidPredictorSpec"


class ModelFailure(FailedPrecondition):
    """`str(error)` says what, where and what to do; `exit_code` is that of the process that failed, if one did."""

    reason = FailureReason.MODEL_LOAD_FAILED

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class InvalidPredictorSpec(ModelFailure):
    """The spec cannot be served whatever the storage holds."""

    reason = FailureReason.INVALID_PREDICTOR_SPEC


class NoSupportingRuntime(ModelFailure):
    """No runtime serves this model format and protocol."""

    reason = FailureReason.NO_SUPPORTING_RUNTIME


class ModelLoadFailed(ModelFailure):
    """The storage, the archive or the handler failed."""


class RuntimeUnhealthy(ModelFailure):
    """TorchServe ended, or did not get ready in time."""

    reason = FailureReason.RUNTIME_UNHEALTHY
