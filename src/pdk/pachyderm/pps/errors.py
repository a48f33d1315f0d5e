"""Errors of the pipeline system, with the original's text where clients match on it.

NotFound            PipelineNotFound  JobNotFound  DatumNotFound  SecretNotFound
AlreadyExists       PipelineExists  SecretExists
InvalidArgument     InvalidSpec
FailedPrecondition  MissingSecret
"""

from collections.abc import Sequence

from pdk.base.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from pdk.pachyderm.pps.types import Job, Pipeline
from pdk.pachyderm.values import DatumId


class PipelineNotFound(NotFound):
    """No such pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(f'pipeline "{pipeline}" not found')


class PipelineExists(AlreadyExists):
    """A pipeline of that name exists and this is no update."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(f'pipeline "{pipeline}" already exists')


class JobNotFound(NotFound):
    """No such job."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job} not found")


class DatumNotFound(NotFound):
    """No such datum in that job."""

    def __init__(self, job: Job, datum_id: DatumId) -> None:
        super().__init__(f"datum {datum_id} not found in job {job}")


class DatumNotRunning(NotFound):
    """No datum that is being processed matches."""

    def __init__(self, job: Job, data_filters: Sequence[str]) -> None:
        super().__init__(
            f"datum matching filter [{' '.join(data_filters)}] could not be found for job ID {job.id}: "
            f"only datums that are being processed can be restarted"
        )


class SecretNotFound(NotFound):
    """No such secret."""

    def __init__(self, name: str) -> None:
        super().__init__(f'secrets "{name}" not found')


class SecretExists(AlreadyExists):
    """A secret of that name exists."""

    def __init__(self, name: str) -> None:
        super().__init__(f'secrets "{name}" already exists')


class MissingSecret(FailedPrecondition):
    """A spec names a secret, or a key of one, that does not exist; starts as the original's text does."""

    def __init__(self, name: str, key: str = "") -> None:
        detail = f' with key "{key}"' if key else ""
        super().__init__(
            f"missing Kubernetes secret {name}{detail}; create it with `create secret` first, then try again"
        )


class InvalidSpec(InvalidArgument):
    """The pipeline spec is wrong at `path` (dots between fields, `[n]` for list items)."""

    def __init__(self, problem: str, path: str = "") -> None:
        where = f" at {path}" if path else ""
        super().__init__(f"validate request: pipeline spec: {problem}{where}")
