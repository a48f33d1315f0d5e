"""Why a revision does not serve, in KServe's words.

    ModelFailure
    ├── InvalidPredictorSpec   the InferenceService itself is at fault; only an edit helps
    ├── NoSupportingRuntime    no runtime serves this model format and protocol
    ├── ModelLoadFailed        storage, archive or handler; retried with backoff
    └── RuntimeUnhealthy       TorchServe ended or did not get ready

`reason` is what `status.modelStatus.lastFailureInfo.reason` shows. Raised in `predictor`, turned into status by
`controller`.
"""

from pdk.base.errors import FailedPrecondition


class ModelFailure(FailedPrecondition):
    """`str(error)` says what, where and what to do; `exit_code` is that of the process that failed, if one did."""

    reason = "ModelLoadFailed"

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class InvalidPredictorSpec(ModelFailure):
    """The spec cannot be served whatever the storage holds."""

    reason = "InvalidPredictorSpec"


class NoSupportingRuntime(ModelFailure):
    """No runtime serves this model format and protocol."""

    reason = "NoSupportingRuntime"


class ModelLoadFailed(ModelFailure):
    """The storage, the archive or the handler failed."""

    reason = "ModelLoadFailed"


class RuntimeUnhealthy(ModelFailure):
    """TorchServe ended, or did not get ready in time."""

    reason = "RuntimeUnhealthy"
