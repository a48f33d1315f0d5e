"""The cluster as clients see it: one agent (this machine), its slots, its one resource pool, and the tasks that run.

Called by the cluster routes. A slot is room for one trial; the n-th running allocation sits on the n-th slot.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pdk.base.clock import rfc3339_now
from pdk.base.ids import new_uuid
from pdk.db.database import Database
from pdk.db.rows import insert
from pdk.determined import errors
from pdk.determined.master.config.experiment import StorageType
from pdk.determined.master.settings import AGENT_ID, MasterSettings
from pdk.determined.store import trials
from pdk.determined.store.records import Allocation, TaskId, Trial

MAX_TASKS = 1000


@dataclass(frozen=True)
class Names:
    """Who this master is; the cluster id lives as long as its data folder, the master id as long as the process."""

    cluster_id: str
    master_id: str
    cluster_name: str
    started_at: str


@dataclass(frozen=True)
class Agent:
    """The machine: `slots[i]` is the allocation on slot i, None when it is free."""

    id: str
    registered_at: str
    resource_pool: str
    slots: list[Allocation | None]


@dataclass(frozen=True)
class Task:
    """A trial as a task, with its allocations, newest first."""

    trial: Trial
    allocations: list[Allocation]


@dataclass(frozen=True)
class Pool:
    """The resource pool and how it is used."""

    name: str
    slots: int
    used: int
    queued: int


class Cluster:
    """What runs where."""

    def __init__(self, db: Database, settings: MasterSettings) -> None:
        self._db = db
        self._settings = settings
        self.names = Names(self._cluster_id(), new_uuid(), settings.cluster_name, rfc3339_now())

    def _cluster_id(self) -> str:
        with self._db.transaction() as conn:
            row = conn.execute("SELECT value FROM cluster WHERE name = 'cluster_id'").fetchone()
            if row is not None:
                return str(row["value"])
            cluster_id = new_uuid()
            insert(conn, "cluster", {"name": "cluster_id", "value": cluster_id})
            return cluster_id

    def agent(self) -> Agent:
        """Return the one agent."""
        with self._db.read() as conn:
            held: list[Allocation | None] = [*trials.open_allocations(conn)]
        slots = held[: self._settings.slots]
        slots += [None] * (self._settings.slots - len(slots))
        return Agent(AGENT_ID, self.names.started_at, self._settings.resource_pool, slots)

    def pool(self) -> Pool:
        """Return the one resource pool."""
        with self._db.read() as conn:
            used, queued = len(trials.open_allocations(conn)), len(trials.queued(conn))
        return Pool(self._settings.resource_pool, self._settings.slots, used, queued)

    def require_pool(self, name: str) -> None:
        """Raise NoSuchThing unless the resource pool exists."""
        if name != self._settings.resource_pool:
            raise errors.NoSuchThing(f"resource pool {name!r} not found")

    def tasks(self) -> list[tuple[Trial, Allocation | None]]:
        """Return the trials that have not ended, with the allocation each holds (None: waiting or paused)."""
        with self._db.read() as conn:
            found = []
            for trial_id in trials.unfinished(conn)[:MAX_TASKS]:
                trial = trials.trial(conn, trial_id)
                if trial is not None:
                    found.append((trial, trials.open_allocation(conn, trial_id)))
            return found

    def task(self, task_id: TaskId) -> Task:
        """Return one task; raises NoSuchThing."""
        with self._db.read() as conn:
            trial = errors.found(trials.trial_of_task(conn, task_id), f"task {task_id} not found")
            return Task(trial, trials.allocations_of(conn, trial.id))

    def configuration(self) -> Mapping[str, object]:
        """Return the master's own configuration, without anything secret."""
        settings = self._settings
        return {
            "cluster_name": settings.cluster_name,
            "checkpoint_storage": {
                "type": StorageType.SHARED_FS,
                "host_path": str(settings.checkpoint_folder),
                "save_experiment_best": 0,
                "save_trial_best": 1,
                "save_trial_latest": 1,
            },
            "resource_pools": [{"pool_name": settings.resource_pool, "slots": settings.slots}],
            "task_container_defaults": {"omp_num_threads": settings.threads_per_trial},
            "telemetry": {"enabled": False},
        }
