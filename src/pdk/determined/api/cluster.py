"""Routes of the cluster: agents and slots, resource pools, tasks, the master's configuration."""

import base64

from pdk.determined.api import encode
from pdk.determined.api.call import RestCall
from pdk.determined.errors import NoSuchThing
from pdk.determined.master.cluster import Agent, Pool
from pdk.determined.master.master import Master
from pdk.determined.master.paging import paged
from pdk.determined.master.settings import AGENT_ID, VERSION
from pdk.determined.store.records import JSON, Allocation, TaskId, Trial, WorkspaceId
from pdk.determined.store.states import LifeState
from pdk.web.routing import route

CPU = "TYPE_CPU"


@route("GET", "/api/v1/agents", about="this machine and its slots")
def get_agents(master: Master, call: RestCall) -> JSON:
    """Return v1GetAgentsResponse: this machine."""
    return encode.listed("agents", paged([master.cluster.agent()], call.page()), _agent)


@route("GET", "/api/v1/agents/{agentId}", about="this machine")
def get_agent(master: Master, call: RestCall) -> JSON:
    """Return v1GetAgentResponse."""
    if call.path["agentId"] != AGENT_ID:
        raise NoSuchThing(f"agent {call.path['agentId']!r} not found")
    return {"agent": _agent(master.cluster.agent())}


def _agent(agent: Agent) -> JSON:
    stats = {"": {"total": len(agent.slots), "disabled": 0, "draining": 0, "states": {}}}
    held = {allocation.container_id: _container(allocation) for allocation in agent.slots if allocation is not None}
    return {
        "id": agent.id,
        "registeredTime": agent.registered_at,
        "slots": {f"{i:03}": _slot(i, allocation) for i, allocation in enumerate(agent.slots)},
        "containers": held,
        "addresses": ["127.0.0.1"],
        "enabled": True,
        "draining": False,
        "version": VERSION,
        "resourcePools": [agent.resource_pool],
        "slotStats": {"typeStats": {CPU: stats[""]}, "brandStats": {"CPU": stats[""]}},
    }


def _slot(index: int, allocation: Allocation | None) -> JSON:
    return {
        "id": str(index),
        "device": {"id": index, "brand": "CPU", "uuid": "", "type": CPU},
        "enabled": True,
        "draining": False,
        "container": None if allocation is None else _container(allocation),
    }


def _container(allocation: Allocation) -> JSON:
    return {
        "id": allocation.container_id,
        "parent": allocation.id,
        "state": f"STATE_{allocation.state}",
        "devices": [],
        "permissionDenied": False,
    }


@route("GET", "/api/v1/resource-pools", about="the one resource pool")
def get_resource_pools(master: Master, call: RestCall) -> JSON:
    """Return v1GetResourcePoolsResponse: the one pool."""
    return encode.listed("resourcePools", paged([master.cluster.pool()], call.page()), resource_pool)


def resource_pool(pool: Pool) -> JSON:
    """Return v1ResourcePool; what only clouds have is empty."""
    texts = (
        "agentDockerImage",
        "agentDockerNetwork",
        "agentDockerRuntime",
        "agentFluentImage",
        "containerStartupScript",
        "imageId",
        "instanceType",
        "masterCertName",
        "masterUrl",
        "startupScript",
        "accelerator",
        "clusterName",
    )
    numbers = (
        "auxContainerCapacity",
        "auxContainerCapacityPerAgent",
        "auxContainersRunning",
        "maxAgentStartingPeriod",
        "maxIdleAgentPeriod",
    )
    return {
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(numbers, 0),
        "name": pool.name,
        "description": "this machine",
        "type": "RESOURCE_POOL_TYPE_STATIC",
        "numAgents": 1,
        "minAgents": 1,
        "maxAgents": 1,
        "slotsAvailable": pool.slots,
        "slotsUsed": pool.used,
        "slotType": CPU,
        "slotsPerAgent": pool.slots,
        "defaultComputePool": True,
        "defaultAuxPool": True,
        "preemptible": False,
        "location": "local",
        "schedulerType": "SCHEDULER_TYPE_FAIR_SHARE",
        "schedulerFittingPolicy": "FITTING_POLICY_BEST",
        "details": {"aws": None, "gcp": None, "priorityScheduler": None},
        "stats": {"queuedCount": pool.queued, "scheduledCount": pool.used},
        "resourceManagerMetadata": {},
    }


@route("GET", "/api/v1/resource-pools/{resourcePoolName}/workspace-bindings", about="always open to all")
def get_pool_workspaces(master: Master, call: RestCall) -> JSON:
    """Return v1ListWorkspacesBoundToRPResponse: the pool is bound to none, that is, open to all."""
    master.cluster.require_pool(call.path["resourcePoolName"])
    return encode.listed("workspaceIds", paged([], call.page()), str)


@route("GET", "/api/v1/workspaces/{workspaceId}/available-resource-pools", about="the one resource pool")
def get_workspace_pools(master: Master, call: RestCall) -> JSON:
    """Return v1ListRPsBoundToWorkspaceResponse: the pool is open to every workspace."""
    master.workspaces.get_workspace(call.id("workspaceId", WorkspaceId))
    return encode.listed("resourcePools", paged([master.cluster.pool().name], call.page()), str)


@route("GET", "/api/v1/tasks", about="trials that run or wait")
def get_tasks(master: Master, call: RestCall) -> JSON:
    """Return v1GetTasksResponse."""
    pool = master.cluster.pool().name
    summaries = [
        _summary(trial, held, pool)
        for trial, held in master.cluster.tasks()
        if trial.state is not LifeState.PAUSED or held
    ]
    return {"allocationIdToSummary": {summary["allocationId"]: summary for summary in summaries}}


def _summary(trial: Trial, held: Allocation | None, pool: str) -> JSON:
    return {
        "taskId": trial.task_id,
        "allocationId": f"{trial.task_id}.{trial.run_id + 1}" if held is None else held.id,
        "name": f"Trial {trial.id} (Experiment {trial.experiment_id})",
        "registeredTime": trial.queued_at if held is None else held.registered_at,
        "resourcePool": pool,
        "slotsNeeded": 1,
        "resources": [] if held is None else [_resources(held)],
        "schedulerType": "fair_share",
        "priority": 42,
        "proxyPorts": [],
    }


def _resources(held: Allocation) -> JSON:
    return {
        "resourcesId": held.container_id,
        "resourcesType": "docker-container",
        "allocationId": held.id,
        "agentDevices": {AGENT_ID: {"devices": [{"id": 0, "brand": "CPU", "uuid": "", "type": CPU}]}},
        "containerId": held.container_id,
        "started": {"addresses": [], "nativeResourcesId": ""} if held.started_at else None,
        "exited": None,
    }


@route("GET", "/api/v1/tasks/{taskId}", about="one task with its allocations")
def get_task(master: Master, call: RestCall) -> JSON:
    """Return v1GetTaskResponse."""
    task = master.cluster.task(TaskId(call.path["taskId"]))
    return {
        "task": {
            "taskId": task.trial.task_id,
            "taskType": "TASK_TYPE_TRIAL",
            "startTime": task.trial.start_time,
            "endTime": task.trial.end_time,
            "allocations": [encode.allocation(each) for each in task.allocations],
            "config": None,
            "forkedFrom": None,
            "parentId": None,
            "noPause": None,
            "taskState": None,
        }
    }


@route("GET", "/api/v1/tasks/{taskId}/context_directory", about="the submitted files")
def get_task_context(master: Master, call: RestCall) -> JSON:
    """Return v1GetTaskContextDirectoryResponse."""
    definition = master.experiments.definition_of_task(TaskId(call.path["taskId"]))
    return {"b64Tgz": base64.b64encode(definition).decode()}


@route("GET", "/api/v1/master/config", about="the master's configuration")
def get_master_config(master: Master, call: RestCall) -> JSON:
    """Return v1GetMasterConfigResponse."""
    return {"config": master.cluster.configuration()}


@route("GET", "/health", about="that it is up", public=True)
def get_health(master: Master, call: RestCall) -> JSON:
    """HealthCheck: that it answers and reads its database."""
    name = master.cluster.pool().name
    return {"status": "up", "database": "up", "resource_managers": [{"cluster_name": name, "status": "up"}]}
