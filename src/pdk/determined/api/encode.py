"""From records to the JSON of the wire: every required key is always there, int64 are text, enums have their prefix.

A test derives the required keys from the client's own bindings and checks every function here.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pdk.base.clock import from_rfc3339, now
from pdk.determined.master import search
from pdk.determined.master.logs import message
from pdk.determined.master.models import VersionDetail
from pdk.determined.master.paging import Paged
from pdk.determined.master.trials import TrialDetail, Workload, kind_of
from pdk.determined.store.checkpoints import CheckpointView
from pdk.determined.store.experiments import ExperimentView
from pdk.determined.store.models import ModelView
from pdk.determined.store.records import JSON, Allocation, Checkpoint, LogLine, Metrics, Model, ModelVersion, User
from pdk.determined.store.states import AllocationState, LifeState, MetricGroup, WorkloadKind
from pdk.determined.store.workspaces import ProjectView, WorkspaceView

T = TypeVar("T")

NO_STATE = "WORKSPACE_STATE_UNSPECIFIED"
MAX_REASON_CHARACTERS = 300


def listed(name: str, page: Paged[T], encode: Callable[[T], object]) -> JSON:
    """Return a page as `{name: [...], pagination: {...}}`."""
    return {
        name: [encode(item) for item in page.items],
        "pagination": {
            "offset": page.page.offset,
            "limit": page.page.limit,
            "startIndex": page.start,
            "endIndex": page.end,
            "total": page.total,
        },
    }


def user(record: User) -> JSON:
    """Return v1User."""
    return {
        "id": record.id,
        "username": record.username,
        "displayName": record.display_name,
        "admin": record.admin,
        "active": record.active,
        "remote": record.remote,
        "agentUserGroup": None,
        "modifiedAt": record.modified_at,
        "lastAuthAt": record.last_auth_at,
    }


def workspace(view: WorkspaceView) -> JSON:
    """Return v1Workspace."""
    record = view.workspace
    return {
        "id": record.id,
        "name": record.name,
        "archived": record.archived,
        "immutable": record.immutable,
        "pinned": False,
        "pinnedAt": None,
        "state": NO_STATE,
        "errorMessage": "",
        "userId": record.user_id,
        "username": view.username,
        "numProjects": view.project_count,
        "numExperiments": view.experiment_count,
        "agentUserGroup": None,
        "checkpointStorageConfig": None,
        "defaultComputePool": None,
        "defaultAuxPool": None,
    }


def project(view: ProjectView) -> JSON:
    """Return v1Project."""
    record = view.project
    return {
        "id": record.id,
        "key": record.key,
        "name": record.name,
        "description": record.description,
        "workspaceId": record.workspace_id,
        "workspaceName": view.workspace_name,
        "archived": record.archived,
        "immutable": record.immutable,
        "notes": record.notes,
        "state": NO_STATE,
        "errorMessage": "",
        "userId": record.user_id,
        "username": view.username,
        "numExperiments": view.experiment_count,
        "numActiveExperiments": view.active_experiment_count,
        "numRuns": view.experiment_count,
        "lastExperimentStartedAt": view.last_experiment_started_at,
    }


def experiment(view: ExperimentView) -> JSON:
    """Return v1Experiment; a failed experiment without a description of its own says there why it failed."""
    record = view.experiment
    searcher = record.config["searcher"]
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description or (record.reason and record.reason[:MAX_REASON_CHARACTERS]),
        "notes": record.notes,
        "labels": record.labels,
        "state": f"STATE_{view.shown_state}",
        "archived": record.archived,
        "config": masked(record.config),
        "originalConfig": record.original_config,
        "hyperparameters": record.config["hyperparameters"],
        "startTime": record.start_time,
        "endTime": record.end_time,
        "duration": round(seconds_between(record.start_time, record.end_time)),
        "progress": progress(view),
        "jobId": record.job_id,
        "forkedFrom": record.parent_id,
        "projectId": record.project_id,
        "projectName": view.project_name,
        "projectOwnerId": view.project_owner_id,
        "workspaceId": view.workspace_id,
        "workspaceName": view.workspace_name,
        "parentArchived": view.parent_archived,
        "userId": record.owner_id,
        "username": view.username,
        "displayName": view.owner_display_name,
        "resourcePool": record.config["resources"]["resource_pool"],
        "searcherType": searcher["name"],
        "searcherMetric": searcher["metric"],
        "numTrials": len(view.trial_ids),
        "trialIds": view.trial_ids,
        "bestTrialId": view.best_trial_id,
        "bestTrialSearcherMetric": view.best_metric,
        "checkpointCount": view.checkpoint_count,
        "checkpointSize": str(view.checkpoint_size),
        "modelDefinitionSize": record.model_definition_size,
        "unmanaged": False,
        "externalExperimentId": None,
        "externalTrialId": None,
        "pachydermIntegration": pachyderm_integration(record.config),
    }


def progress(view: ExperimentView) -> float:
    """Return how much of an experiment is done, 0 to 1."""
    if view.experiment.state is LifeState.COMPLETED:
        return 1.0
    return min(1.0, view.progress_sum / max(1, search.total(view.experiment.config)))


def pachyderm_integration(config: Mapping[str, Any]) -> JSON | None:
    """Return `integrations.pachyderm` of a configuration."""
    integrations = config["integrations"]
    found = integrations.get("pachyderm") if isinstance(integrations, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else None


def masked(config: Mapping[str, Any]) -> JSON:
    """Return a configuration without the secrets of a registry."""
    if not config["environment"]["registry_auth"]:
        return dict(config)
    return {**config, "environment": {**config["environment"], "registry_auth": "********"}}


def trial(detail: TrialDetail) -> JSON:
    """Return trialv1Trial."""
    view, record = detail.view, detail.view.trial
    best = detail.best
    return {
        "id": record.id,
        "experimentId": record.experiment_id,
        "state": f"STATE_{view.shown_state}",
        "startTime": record.start_time,
        "endTime": record.end_time,
        "hparams": record.hparams,
        "restarts": min(record.restarts, view.max_restarts),
        "totalBatchesProcessed": record.total_batches,
        "bestValidation": None if best is None else metrics_workload(best),
        "latestValidation": None if detail.latest is None else metrics_workload(detail.latest),
        "bestCheckpoint": None if detail.best_checkpoint is None else checkpoint_workload(detail.best_checkpoint),
        "runnerState": record.runner_state,
        "wallClockTime": seconds_between(record.start_time, record.end_time),
        "warmStartCheckpointUuid": record.warm_start,
        "taskId": record.task_id,
        "taskIds": [record.task_id],
        "checkpointCount": view.checkpoint_count,
        "totalCheckpointSize": str(view.checkpoint_size),
        "summaryMetrics": summary_metrics(record.summary),
        "searcherMetricValue": None if best is None else best.searcher_metric,
        "logRetentionDays": None,
        "logPolicyMatched": None,
        "metadata": None,
    }


def summary_metrics(summary: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> JSON:
    """Return summary metrics without what is only kept to extend them."""
    return {
        group: {name: {k: v for k, v in values.items() if k != "finite"} for name, values in metrics.items()}
        for group, metrics in summary.items()
    }


def metrics_workload(record: Metrics, with_batches: bool = False) -> JSON:
    """Return v1MetricsWorkload."""
    batches = json.loads(record.batches) if with_batches and record.batches else []
    return {
        "endTime": record.end_time,
        "totalBatches": record.total_batches,
        "numInputs": 0,
        "metrics": {"avgMetrics": record.averages, "batchMetrics": batches},
    }


def checkpoint_workload(record: Checkpoint) -> JSON:
    """Return v1CheckpointWorkload."""
    return {
        "uuid": record.uuid,
        "endTime": record.report_time,
        "state": f"STATE_{record.state}",
        "resources": resources(record),
        "totalBatches": record.steps_completed,
        "metadata": record.metadata,
    }


def workload(row: Workload, with_batches: bool) -> JSON:
    """Return v1WorkloadContainer: exactly one of its three."""
    encoded = checkpoint_workload(row) if isinstance(row, Checkpoint) else metrics_workload(row, with_batches)
    return {**dict.fromkeys(WorkloadKind), kind_of(row): encoded}


def metrics_report(record: Metrics) -> JSON:
    """Return v1MetricsReport."""
    key = "validation_metrics" if record.metric_group == MetricGroup.VALIDATION else "avg_metrics"
    return {
        "id": record.id,
        "trialId": record.trial_id,
        "trialRunId": record.run_id,
        "group": record.metric_group,
        "totalBatches": record.total_batches,
        "endTime": record.end_time,
        "archived": record.archived,
        "metrics": {key: record.averages},
    }


def resources(record: Checkpoint) -> dict[str, str]:
    """Return the files of a checkpoint with their sizes (int64, hence text)."""
    return {path: str(size) for path, size in record.resources.items()}


def checkpoint(view: CheckpointView) -> JSON:
    """Return v1Checkpoint with the training it comes from."""
    record = view.checkpoint
    return {
        "uuid": record.uuid,
        "taskId": record.task_id,
        "allocationId": record.allocation_id,
        "reportTime": record.report_time,
        "state": f"STATE_{record.state}",
        "resources": resources(record),
        "metadata": record.metadata,
        "storageId": None,
        "training": {
            "trialId": record.trial_id,
            "experimentId": view.experiment_id,
            "experimentConfig": masked(view.config),
            "hparams": view.hparams,
            "trainingMetrics": {"avgMetrics": view.training or {}, "batchMetrics": []},
            "validationMetrics": {"avgMetrics": view.validation or {}, "batchMetrics": []},
            "searcherMetric": view.searcher_metric,
        },
    }


def model(view: ModelView) -> JSON:
    """Return v1Model."""
    record = view.model
    return {
        **_registered(record),
        "description": record.description,
        "archived": record.archived,
        "numVersions": view.version_count,
        "username": view.username,
        "workspaceId": record.workspace_id,
    }


def model_version(detail: VersionDetail) -> JSON:
    """Return v1ModelVersion."""
    record = detail.view.version
    return {
        **_registered(record),
        "version": record.version,
        "model": model(detail.model),
        "checkpoint": checkpoint(detail.checkpoint),
        "comment": record.comment,
        "username": detail.view.username,
    }


def _registered(record: Model | ModelVersion) -> JSON:
    return {
        "id": record.id,
        "name": record.name,
        "notes": record.notes,
        "labels": record.labels,
        "metadata": record.metadata,
        "creationTime": record.creation_time,
        "lastUpdatedTime": record.last_updated_time,
        "userId": record.user_id,
    }


def trial_log(line: LogLine, agent_id: str) -> JSON:
    """Return v1TrialLogsResponse."""
    encoded = task_log(line, agent_id)
    del encoded["taskId"], encoded["allocationId"]
    return {**encoded, "trialId": line.trial_id or 0}


def task_log(line: LogLine, agent_id: str) -> JSON:
    """Return v1TaskLogsResponse."""
    return {
        "id": str(line.id),
        "timestamp": line.timestamp,
        "message": message(line),
        "log": line.log + "\n",
        "level": f"LOG_LEVEL_{line.level or 'UNSPECIFIED'}",
        "taskId": line.task_id,
        "allocationId": line.allocation_id,
        "agentId": agent_id,
        "containerId": line.container_id,
        "rankId": line.rank_id,
        "source": line.source,
        "stdtype": line.stdtype,
    }


def allocation(record: Allocation) -> JSON:
    """Return v1Allocation."""
    return {
        "allocationId": record.id,
        "taskId": record.task_id,
        "state": f"STATE_{record.state}",
        "isReady": record.state is AllocationState.RUNNING,
        "startTime": record.started_at,
        "endTime": record.ended_at,
        "slots": 1,
        "exitReason": record.exit_reason,
        "statusCode": record.exit_code,
    }


def seconds_between(start: str, end: str | None) -> float:
    """Return the seconds from `start` to `end`, to now while there is no end."""
    last = now() if end is None else from_rfc3339(end)
    return (last - from_rfc3339(start)).total_seconds()
