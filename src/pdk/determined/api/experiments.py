"""Routes of experiments."""

import base64
from typing import Any

from pdk.determined.api import encode
from pdk.determined.api.call import RestCall
from pdk.determined.errors import CallNotServed
from pdk.determined.master.checkpoints import CheckpointOrder
from pdk.determined.master.context import ContextFile
from pdk.determined.master.experiments import ExperimentPatch, Submission
from pdk.determined.master.master import Master
from pdk.determined.store.experiments import ExperimentFilter
from pdk.determined.store.records import JSON, ExperimentId, ProjectId
from pdk.determined.store.states import LifeState
from pdk.web.routing import MEGABYTE, route

# The client refuses context directories above about 95 MB; base64 and JSON add a third.
MAX_CONTEXT_BODY = 140 * MEGABYTE
# The state of an experiment in the job queue.
JOB_STATES = {
    LifeState.QUEUED: "STATE_QUEUED",
    LifeState.STARTING: "STATE_SCHEDULED",
    LifeState.RUNNING: "STATE_SCHEDULED",
}


@route(
    "POST",
    "/api/v1/experiments",
    about="create, validate or continue an experiment",
    partial="searchers single, random, grid; storage shared_fs, directory; no templates; not unmanaged; one slot",
    max_body=MAX_CONTEXT_BODY,
)
def create_experiment(master: Master, call: RestCall) -> JSON:
    """Return v1CreateExperimentResponse; validated only, it answers an experiment with id 0."""
    fields = call.fields
    if fields.flag("unmanaged"):
        raise CallNotServed("unmanaged experiments are not available on this master")
    if fields.text("template"):
        raise CallNotServed("templates are not available on this master")
    files = [
        ContextFile(
            path=file.required("path"),
            kind=file.number("type") or 0,
            content=file.text("content") or "",
            mode=file.number("mode") or 0,
            mtime=int(file.get("mtime") or 0),
        )
        for file in fields.objects("modelDefinition")
    ]
    activate = fields.flag("activate")
    submission = Submission(
        config=fields.required("config"),
        files=files,
        parent_id=fields.id("parentId", ExperimentId),
        project_id=fields.id("projectId", ProjectId),
        activate=True if activate is None else activate,
        validate_only=fields.flag("validateOnly") or False,
    )
    encoded = encode.experiment(master.experiments.create(call.caller, submission))
    if submission.validate_only:
        encoded.update({"id": 0, "numTrials": 0, "trialIds": []})
    return {"experiment": encoded, "config": encoded["config"], "warnings": []}


@route("GET", "/api/v1/experiments", about="list, filter, sort, page")
def get_experiments(master: Master, call: RestCall) -> JSON:
    """Return v1GetExperimentsResponse."""
    wanted = ExperimentFilter(
        archived=call.flag("archived"),
        users=call.texts("users"),
        user_ids=call.numbers("userIds"),
        labels=call.texts("labels"),
        states=call.enums("states", "STATE_"),
        ids=call.numbers("experimentIdFilter.incl"),
        name=call.text("name"),
        description=call.text("description"),
        project_id=ProjectId(call.number("projectId")),
    )
    sort = call.enum("sortBy", "SORT_BY_", "ID")
    page = master.experiments.list_experiments(wanted, sort, bool(call.descending()), call.page())
    return encode.listed("experiments", page, encode.experiment)


@route("GET", "/api/v1/experiments/{experimentId}", about="one experiment")
def get_experiment(master: Master, call: RestCall) -> JSON:
    """Return v1GetExperimentResponse."""
    view = master.experiments.get(call.id("experimentId", ExperimentId))
    encoded = encode.experiment(view)
    state = JOB_STATES.get(view.shown_state)
    summary = None if state is None else {"state": state, "jobsAhead": 0}
    return {"experiment": encoded, "config": encoded["config"], "jobSummary": summary}


@route("PATCH", "/api/v1/experiments/{experimentId}", about="name, description, notes, labels, resources, gc policy")
def patch_experiment(master: Master, call: RestCall) -> JSON:
    """Return v1PatchExperimentResponse; the command line sends the whole object, nulls mean nothing."""
    fields = call.fields
    resources, storage = fields.fields("resources"), fields.fields("checkpointStorage")
    patch = ExperimentPatch(
        name=fields.text("name"),
        description=fields.text("description"),
        notes=fields.text("notes"),
        labels=fields.texts("labels"),
        resources=_given(
            max_slots=resources.number("maxSlots"),
            priority=resources.number("priority"),
            weight=resources.real("weight"),
        ),
        storage=_given(
            save_experiment_best=storage.number("saveExperimentBest"),
            save_trial_best=storage.number("saveTrialBest"),
            save_trial_latest=storage.number("saveTrialLatest"),
        ),
    )
    return {"experiment": encode.experiment(master.experiments.patch(call.id("experimentId", ExperimentId), patch))}


@route("DELETE", "/api/v1/experiments/{experimentId}", about="delete with logs and checkpoints")
def delete_experiment(master: Master, call: RestCall) -> None:
    """Begin the deletion of an experiment."""
    master.experiments.delete(call.id("experimentId", ExperimentId))


@route("POST", "/api/v1/experiments/{experimentId}/activate", about="let it run")
def activate_experiment(master: Master, call: RestCall) -> None:
    """Let a paused experiment run."""
    master.experiments.activate(call.id("experimentId", ExperimentId))


@route("POST", "/api/v1/experiments/{experimentId}/pause", about="checkpoint and wait")
def pause_experiment(master: Master, call: RestCall) -> None:
    """Checkpoint the trials of an experiment and hold it."""
    master.experiments.pause(call.id("experimentId", ExperimentId))


@route("POST", "/api/v1/experiments/{experimentId}/cancel", about="checkpoint and end")
def cancel_experiment(master: Master, call: RestCall) -> None:
    """Checkpoint the trials of an experiment and end it."""
    master.experiments.cancel(call.id("experimentId", ExperimentId))


@route("POST", "/api/v1/experiments/{experimentId}/kill", about="end at once")
def kill_experiment(master: Master, call: RestCall) -> None:
    """End an experiment at once."""
    master.experiments.kill(call.id("experimentId", ExperimentId))


@route("POST", "/api/v1/experiments/{experimentId}/archive", about="archive")
def archive_experiment(master: Master, call: RestCall) -> None:
    """Set the flag that keeps an ended experiment out of lists."""
    master.experiments.archive(call.id("experimentId", ExperimentId), archived=True)


@route("POST", "/api/v1/experiments/{experimentId}/unarchive", about="unarchive")
def unarchive_experiment(master: Master, call: RestCall) -> None:
    """Clear the flag that archiving set."""
    master.experiments.archive(call.id("experimentId", ExperimentId), archived=False)


@route("POST", "/api/v1/experiments/{experimentId}/move", about="move to another project")
def move_experiment(master: Master, call: RestCall) -> None:
    """Move an experiment to another project."""
    destination = call.fields.id("destinationProjectId", ProjectId) or ProjectId(0)
    master.experiments.move(call.id("experimentId", ExperimentId), destination)


@route("PUT", "/api/v1/experiments/{experimentId}/labels/{label}", about="add a label")
def put_label(master: Master, call: RestCall) -> JSON:
    """Return v1PutExperimentLabelResponse."""
    return {"labels": master.experiments.label(call.id("experimentId", ExperimentId), call.path["label"], present=True)}


@route("DELETE", "/api/v1/experiments/{experimentId}/labels/{label}", about="remove a label")
def delete_label(master: Master, call: RestCall) -> JSON:
    """Return v1DeleteExperimentLabelResponse."""
    return {
        "labels": master.experiments.label(call.id("experimentId", ExperimentId), call.path["label"], present=False)
    }


@route("GET", "/api/v1/experiments/{experimentId}/trials", about="its trials")
def get_trials(master: Master, call: RestCall) -> JSON:
    """Return v1GetExperimentTrialsResponse."""
    page = master.trials.of_experiment(
        call.id("experimentId", ExperimentId),
        call.enums("states", "STATE_"),
        call.enum("sortBy", "SORT_BY_", "ID"),
        bool(call.descending()),
        call.page(),
    )
    return encode.listed("trials", page, encode.trial)


@route("GET", "/api/v1/experiments/{experimentId}/checkpoints", about="its checkpoints, best first")
def get_checkpoints(master: Master, call: RestCall) -> JSON:
    """Return v1GetExperimentCheckpointsResponse; best first unless an order is asked for."""
    page = master.checkpoints.of_experiment(
        call.id("experimentId", ExperimentId), call.enums("states", "STATE_"), checkpoint_order(call), call.page()
    )
    return encode.listed("checkpoints", page, encode.checkpoint)


def checkpoint_order(call: RestCall) -> CheckpointOrder:
    """Return the order a list of checkpoints is asked for in."""
    return CheckpointOrder(call.enum("sortByAttr", "SORT_BY_"), call.text("sortByMetric"), call.descending())


@route("GET", "/api/v1/experiments/{experimentId}/model_def", about="the submitted files")
def get_model_def(master: Master, call: RestCall) -> JSON:
    """Return v1GetModelDefResponse."""
    definition = master.experiments.model_definition(call.id("experimentId", ExperimentId))
    return {"b64Tgz": base64.b64encode(definition).decode()}


@route(
    "GET",
    "/api/v1/experiments/{experimentId}/searcher/best_searcher_validation_metric",
    about="the best metric so far (404: none)",
)
def get_best_metric(master: Master, call: RestCall) -> JSON:
    """Return v1GetBestSearcherValidationMetricResponse; 404 while there is none, the harness relies on that."""
    return {"metric": master.experiments.best_metric(call.id("experimentId", ExperimentId))}


def _given(**values: Any) -> JSON:
    return {name: value for name, value in values.items() if value is not None}
