"""The table of routes: everything this master answers. What is not here and lies under /api/v1 answers 501.

The compatibility page (docs/compatibility/determined.md) is generated from this table.
"""

from pdk.determined.api import checkpoints, cluster, experiments, identity, logs, models, trials, workspaces
from pdk.determined.api.routing import MEGABYTE, Route
from pdk.determined.master.experiments import Experiments

V1 = "/api/v1"
EXPERIMENT = f"{V1}/experiments/{{experimentId}}"
TRIAL = f"{V1}/trials/{{trialId}}"
ALLOCATION = f"{V1}/allocations/{{allocationId}}"
CHECKPOINT = f"{V1}/checkpoints/{{checkpointUuid}}"
MODEL = f"{V1}/models/{{modelName}}"
VERSION = f"{MODEL}/versions/{{modelVersionNum}}"
WORKSPACE = f"{V1}/workspaces/{{id}}"
PROJECT = f"{V1}/projects/{{id}}"
# The client refuses context directories above about 95 MB; base64 and JSON add a third.
MAX_CONTEXT_BODY = 140 * MEGABYTE
ONE_SLOT = "accepted and without effect: every trial has one slot on one machine"

IDENTITY = (
    Route("GET", "/info", identity.info, "version and ids", public=True),
    Route("GET", "/health", cluster.get_health, "that it is up", public=True),
    Route("GET", f"{V1}/master", identity.get_master, "version, ids, features", public=True),
    Route("GET", f"{V1}/master/telemetry", identity.get_telemetry, "always off", public=True),
    Route("GET", f"{V1}/master/config", cluster.get_master_config, "the master's configuration"),
    Route("GET", f"{V1}/master/logs", logs.master_logs, "the master's own log, also followed", kind="stream"),
    Route("POST", f"{V1}/auth/login", identity.login, "log in with name and password", public=True),
    Route("POST", f"{V1}/auth/logout", identity.logout, "end the session"),
    Route("GET", f"{V1}/auth/user", identity.get_me, "the caller"),
    Route("GET", f"{V1}/me", identity.get_me, "the caller"),
    Route("GET", f"{V1}/users", identity.get_users, "list users"),
    Route("POST", f"{V1}/users", identity.post_user, "create a user", partial="no agent user groups"),
    Route("GET", f"{V1}/users/{{userId}}", identity.get_user, "one user"),
    Route("PATCH", f"{V1}/users/{{userId}}", identity.patch_user, "change a user", partial="no agent user groups"),
    Route("POST", f"{V1}/users/{{userId}}/password", identity.set_password, "set a password"),
    Route("GET", f"{V1}/users/{{username}}/by-username", identity.get_user_by_username, "one user by name"),
)

EXPERIMENTS = (
    Route(
        "POST",
        f"{V1}/experiments",
        experiments.create_experiment,
        "create, validate or continue an experiment",
        partial="searchers single, random, grid; storage shared_fs, directory; no templates; not unmanaged; one slot",
        max_body=MAX_CONTEXT_BODY,
    ),
    Route("GET", f"{V1}/experiments", experiments.get_experiments, "list, filter, sort, page"),
    Route("GET", EXPERIMENT, experiments.get_experiment, "one experiment"),
    Route("PATCH", EXPERIMENT, experiments.patch_experiment, "name, description, notes, labels, resources, gc policy"),
    Route("DELETE", EXPERIMENT, experiments.delete_experiment, "delete with logs and checkpoints"),
    Route("POST", f"{EXPERIMENT}/activate", experiments.verb(Experiments.activate), "let it run"),
    Route("POST", f"{EXPERIMENT}/pause", experiments.verb(Experiments.pause), "checkpoint and wait"),
    Route("POST", f"{EXPERIMENT}/cancel", experiments.verb(Experiments.cancel), "checkpoint and end"),
    Route("POST", f"{EXPERIMENT}/kill", experiments.verb(Experiments.kill), "end at once"),
    Route("POST", f"{EXPERIMENT}/archive", experiments.archive_experiment, "archive"),
    Route("POST", f"{EXPERIMENT}/unarchive", experiments.unarchive_experiment, "unarchive"),
    Route("POST", f"{EXPERIMENT}/move", experiments.move_experiment, "move to another project"),
    Route("PUT", f"{EXPERIMENT}/labels/{{label}}", experiments.put_label, "add a label"),
    Route("DELETE", f"{EXPERIMENT}/labels/{{label}}", experiments.delete_label, "remove a label"),
    Route("GET", f"{EXPERIMENT}/trials", experiments.get_trials, "its trials"),
    Route("GET", f"{EXPERIMENT}/checkpoints", experiments.get_checkpoints, "its checkpoints, best first"),
    Route("GET", f"{EXPERIMENT}/model_def", experiments.get_model_def, "the submitted files"),
    Route(
        "GET",
        f"{EXPERIMENT}/searcher/best_searcher_validation_metric",
        experiments.get_best_metric,
        "the best metric so far (404: none)",
    ),
)

TRIALS = (
    Route("GET", TRIAL, trials.get_trial, "one trial"),
    Route("POST", f"{TRIAL}/kill", trials.kill_trial, "end at once"),
    Route(
        "GET", f"{TRIAL}/workloads", trials.get_workloads, "its history", partial="training, validation, checkpoints"
    ),
    Route("GET", f"{TRIAL}/checkpoints", trials.get_checkpoints, "its checkpoints"),
    Route("GET", f"{TRIAL}/logs", logs.trial_logs, "its log, also followed", kind="stream", partial="no regex search"),
    Route("GET", f"{TRIAL}/logs/fields", logs.trial_log_fields, "values to filter the log by", kind="stream"),
    Route("GET", f"{V1}/trials/metrics/trial_metrics", trials.stream_metrics, "metrics of trials", kind="stream"),
    Route(
        "GET",
        f"{V1}/trials/metrics/training_metrics",
        trials.stream_training_metrics,
        "training metrics of trials",
        kind="stream",
    ),
    Route(
        "GET",
        f"{V1}/trials/metrics/validation_metrics",
        trials.stream_validation_metrics,
        "validation metrics of trials",
        kind="stream",
    ),
)

HARNESS = (
    Route("POST", f"{V1}/runs/start", trials.start_run, "the harness begins to report"),
    Route("POST", f"{TRIAL}/metrics", trials.report_metrics, "report metrics of a group"),
    Route("POST", f"{TRIAL}/training_metrics", trials.report_training_metrics, "report training metrics"),
    Route("POST", f"{TRIAL}/validation_metrics", trials.report_validation_metrics, "report validation metrics"),
    Route("POST", f"{TRIAL}/progress", trials.report_progress, "report progress"),
    Route("POST", f"{TRIAL}/runner/metadata", trials.report_runner_metadata, "report what the harness does"),
    Route("POST", f"{TRIAL}/early_exit", trials.report_early_exit, "report invalid hyperparameters"),
    Route("GET", f"{ALLOCATION}/signals/preemption", trials.preemption, "wait for the wish to stop", kind="poll"),
    Route("POST", f"{ALLOCATION}/signals/ack_preemption", trials.ack_preemption, "acknowledge the wish to stop"),
    Route(
        "POST", f"{ALLOCATION}/signals/pending_preemption", trials.of_allocation, "announce SIGTERM", partial=ONE_SLOT
    ),
    Route("POST", f"{ALLOCATION}/acceleratorData", trials.of_allocation, "report accelerators", partial=ONE_SLOT),
    Route("POST", f"{ALLOCATION}/ready", trials.of_allocation, "report readiness", partial=ONE_SLOT),
    Route("POST", f"{ALLOCATION}/waiting", trials.of_allocation, "report waiting", partial=ONE_SLOT),
    Route("GET", f"{ALLOCATION}/resources/{{resourcesId}}/rendezvous", trials.rendezvous, "addresses of the machines"),
    Route("GET", f"{V1}/tasks/{{taskId}}/context_directory", cluster.get_task_context, "the submitted files"),
    Route("POST", f"{V1}/task/logs", logs.post_task_logs, "send log lines"),
    Route("POST", "/task-logs", logs.post_task_logs, "send log lines (bare list)"),
)

CHECKPOINTS = (
    Route("POST", f"{V1}/checkpoints", trials.report_checkpoint, "report a checkpoint"),
    Route("GET", CHECKPOINT, checkpoints.get_checkpoint, "one checkpoint with its metrics"),
    Route("POST", f"{CHECKPOINT}/metadata", checkpoints.post_metadata, "replace its metadata"),
    Route("DELETE", f"{V1}/checkpoints", checkpoints.delete_checkpoints, "delete checkpoints that are not registered"),
    Route("PATCH", f"{V1}/checkpoints", checkpoints.patch_checkpoints, "report which files are left"),
    Route("POST", f"{V1}/checkpoints/rm", checkpoints.remove_files, "remove files by glob"),
    Route("GET", "/experiments/{experimentId}/preview_gc", checkpoints.preview_gc, "what a gc policy would remove"),
    Route("GET", "/checkpoints/{checkpointUuid}", checkpoints.archive, "its files as tar.gz, tar or zip", kind="raw"),
)

MODELS = (
    Route("GET", f"{V1}/models", models.get_models, "list, filter, sort, page"),
    Route("POST", f"{V1}/models", models.post_model, "create a model"),
    Route("GET", MODEL, models.get_model, "one model by name or id"),
    Route("PATCH", MODEL, models.patch_model, "change a model"),
    Route("DELETE", MODEL, models.delete_model, "delete a model"),
    Route("POST", f"{MODEL}/archive", models.archive_model, "archive"),
    Route("POST", f"{MODEL}/unarchive", models.unarchive_model, "unarchive"),
    Route("POST", f"{MODEL}/move", models.move_model, "move to another workspace"),
    Route("GET", f"{MODEL}/versions", models.get_versions, "its versions"),
    Route("POST", f"{MODEL}/versions", models.post_version, "register a checkpoint as the next version"),
    Route("GET", VERSION, models.get_version, "one version"),
    Route("PATCH", VERSION, models.patch_version, "change a version"),
    Route("DELETE", VERSION, models.delete_version, "delete a version"),
    Route("GET", f"{V1}/model/labels", models.get_labels, "labels by popularity"),
)

WORKSPACES = (
    Route("GET", f"{V1}/workspaces", workspaces.get_workspaces, "list, filter, sort, page"),
    Route("POST", f"{V1}/workspaces", workspaces.post_workspace, "create a workspace", partial="name only"),
    Route("GET", WORKSPACE, workspaces.get_workspace, "one workspace"),
    Route("PATCH", WORKSPACE, workspaces.patch_workspace, "rename a workspace", partial="name only"),
    Route("DELETE", WORKSPACE, workspaces.delete_workspace, "delete a workspace", partial="only an empty one"),
    Route("POST", f"{WORKSPACE}/archive", workspaces.archive_workspace, "archive with its projects"),
    Route("POST", f"{WORKSPACE}/unarchive", workspaces.unarchive_workspace, "unarchive with its projects"),
    Route("GET", f"{WORKSPACE}/projects", workspaces.get_workspace_projects, "its projects"),
    Route("POST", f"{V1}/workspaces/{{workspaceId}}/projects", workspaces.post_project, "create a project"),
    Route(
        "GET",
        f"{V1}/workspaces/{{workspaceId}}/available-resource-pools",
        cluster.get_workspace_pools,
        "the one resource pool",
    ),
    Route("GET", PROJECT, workspaces.get_project, "one project"),
    Route("PATCH", PROJECT, workspaces.patch_project, "change a project"),
    Route("DELETE", PROJECT, workspaces.delete_project, "delete a project", partial="only an empty one"),
    Route("POST", f"{PROJECT}/archive", workspaces.archive_project, "archive"),
    Route("POST", f"{PROJECT}/unarchive", workspaces.unarchive_project, "unarchive"),
    Route("PUT", f"{V1}/projects/{{projectId}}/notes", workspaces.put_project_notes, "replace the notes"),
)

CLUSTER = (
    Route("GET", f"{V1}/agents", cluster.get_agents, "this machine and its slots"),
    Route("GET", f"{V1}/agents/{{agentId}}", cluster.get_agent, "this machine"),
    Route("GET", f"{V1}/resource-pools", cluster.get_resource_pools, "the one resource pool"),
    Route(
        "GET",
        f"{V1}/resource-pools/{{resourcePoolName}}/workspace-bindings",
        cluster.get_pool_workspaces,
        "always open to all",
    ),
    Route("GET", f"{V1}/tasks", cluster.get_tasks, "trials that run or wait"),
    Route("GET", f"{V1}/tasks/{{taskId}}", cluster.get_task, "one task with its allocations"),
    Route("GET", f"{V1}/tasks/{{taskId}}/logs", logs.task_logs, "its log, also followed", kind="stream"),
    Route("GET", f"{V1}/tasks/{{taskId}}/logs/fields", logs.task_log_fields, "values to filter by", kind="stream"),
)

GROUPS: dict[str, tuple[Route, ...]] = {
    "Master, logins and users": IDENTITY,
    "Experiments": EXPERIMENTS,
    "Trials": TRIALS,
    "What the harness of a trial calls": HARNESS,
    "Checkpoints": CHECKPOINTS,
    "Model registry": MODELS,
    "Workspaces and projects": WORKSPACES,
    "Agents, resource pools and tasks": CLUSTER,
}
ROUTES: tuple[Route, ...] = tuple(route for routes in GROUPS.values() for route in routes)
