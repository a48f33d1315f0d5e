"""Rows of the InferenceService controller: services, their revisions, and the process that runs each.

The objects clients see (status, pods, deployments) are derived from these rows, never the other way round, so a killed
server finds in them what it had started and where it was. In the same database as the objects, in tables of their own.
"""

import contextlib
import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

from pdk.db import rows
from pdk.db.database import Database, Migration
from pdk.kserve.predictor.failures import FailureReason

MIGRATIONS: list[Migration] = [
    (
        "kserve-revisions-1",
        """
        CREATE TABLE isvc_services (
            uid TEXT PRIMARY KEY,
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            last_number INTEGER NOT NULL,
            rolled_out INTEGER,
            previous_rolled_out INTEGER
        );
        CREATE INDEX isvc_services_name ON isvc_services (namespace, name);
        CREATE TABLE isvc_revisions (
            uid TEXT NOT NULL REFERENCES isvc_services (uid) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            state TEXT NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (uid, number)
        );
        """,
    ),
]


# The uid of an InferenceService.
ServiceUid = NewType("ServiceUid", str)
# `<service>-predictor-00001`
RevisionName = NewType("RevisionName", str)


class RevisionState(enum.StrEnum):
    """Where a revision is.

    PENDING > FETCHING > STARTING > READY > DRAINING > STOPPING > STOPPED; a failure leads from the first four to
    FAILED, which waits for its next attempt and goes on at PENDING.
    """

    PENDING = "Pending"
    FETCHING = "Fetching"
    STARTING = "Starting"
    READY = "Ready"
    FAILED = "Failed"
    DRAINING = "Draining"
    STOPPING = "Stopping"
    STOPPED = "Stopped"


RETIRED = frozenset({RevisionState.DRAINING, RevisionState.STOPPING, RevisionState.STOPPED})


class Stage(enum.StrEnum):
    """What a revision has been through: made, fetch begun and ended, TorchServe started, ready for the first time."""

    CREATED = "created"
    FETCH = "fetch"
    FETCHED = "fetched"
    START = "start"
    READY = "ready"


@dataclass(frozen=True)
class Failure:
    """The last failure of a revision; `time` is RFC 3339, `exit_code` that of the process that failed, if one did."""

    reason: FailureReason
    message: str
    time: str
    exit_code: int | None = None


@dataclass(frozen=True)
class Process:
    """A TorchServe that was started; times in seconds.

    `pid` is None between the decision to start and the start; `start_ticks` (clock ticks since boot) tells it from a
    later process with the same pid. `probe_model` is the model whose archive has a probe, empty without one.
    """

    marker: str
    temp: str
    ports: Mapping[str, int]
    pid: int | None = None
    start_ticks: int = 0
    models: tuple[str, ...] = ()
    max_request_bytes: int = 0
    response_timeout: float = 0.0
    probe_model: str = ""


@dataclass(frozen=True)
class Revision:
    """One revision of an InferenceService; moments are Unix seconds."""

    uid: ServiceUid
    namespace: str
    service: str
    number: int
    digest: str
    # `spec.predictor` as it was when the revision was made.
    predictor: Mapping[str, Any]
    # The annotations of the InferenceService that reach its pods.
    annotations: Mapping[str, str]
    pod: str
    generation: int
    state: RevisionState = RevisionState.PENDING
    # Failed attempts since it last was ready for long.
    attempts: int = 0
    # As the pod shows them, of the serving container and of its storage initializer.
    restarts: int = 0
    fetch_restarts: int = 0
    # When a FAILED or waiting revision may go on.
    retry_at: float = 0.0
    # When loading, draining or stopping is over.
    deadline: float = 0.0
    # What a PENDING revision waits for, e.g. a commit that is still open.
    waiting: str = ""
    failure: Failure | None = None
    process: Process | None = None
    # When it was in each Stage.
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> RevisionName:
        """The name clients see."""
        return revision_name(self.service, self.number)

    @property
    def key(self) -> str:
        """Unique among all revisions that ever were."""
        return f"{self.uid}/{self.number}"

    def at(self, stage: Stage, moment: float) -> dict[str, float]:
        """Return `stages` with the moment of one more stage."""
        return {**self.stages, stage: moment}


@dataclass(frozen=True)
class ServiceRow:
    """What is remembered of an InferenceService: which revision has, and had before, all the traffic.

    `last_number` only grows: the name of a revision is never used again.
    """

    uid: ServiceUid
    namespace: str
    name: str
    last_number: int = 0
    rolled_out: int | None = None
    previous_rolled_out: int | None = None


def revision_name(service: str, number: int) -> RevisionName:
    """Return the name of a revision, as Knative makes them: `<service>-predictor-00001`."""
    return RevisionName(f"{service}-predictor-{number:05d}")


class Revisions:
    """Row access; each method is one transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def transaction(self) -> contextlib.AbstractContextManager[object]:
        """Return a context that makes several writes, also of the object store in the same database, one change."""
        return self._db.transaction()

    def services(self, namespace: str, name: str) -> list[ServiceRow]:
        """Return the rows of a name: one, or several while a deleted one of the same name is being taken down."""
        query = "SELECT * FROM isvc_services WHERE namespace = ? AND name = ?"
        with self._db.read() as conn:
            return rows.fetch(conn, ServiceRow, query, namespace, name)

    def keys(self) -> list[str]:
        """Return `namespace/name` of every service there are rows for."""
        with self._db.read() as conn:
            return [row[0] for row in conn.execute("SELECT DISTINCT namespace || '/' || name FROM isvc_services")]

    def put_service(self, row: ServiceRow) -> None:
        """Write a service."""
        with self._db.transaction() as conn:
            rows.upsert(conn, "isvc_services", ("uid",), dataclasses.asdict(row))

    def delete_service(self, uid: ServiceUid) -> None:
        """Forget a service and its revisions."""
        with self._db.transaction() as conn:
            conn.execute("DELETE FROM isvc_services WHERE uid = ?", (uid,))

    def of_service(self, uid: ServiceUid) -> list[Revision]:
        """Return the revisions of a service, oldest first."""
        query = "SELECT body FROM isvc_revisions WHERE uid = ? ORDER BY number"
        with self._db.read() as conn:
            return [rows.from_json(Revision, row["body"]) for row in conn.execute(query, (uid,))]

    def all(self) -> list[Revision]:
        """Return every revision."""
        with self._db.read() as conn:
            found = conn.execute("SELECT body FROM isvc_revisions ORDER BY uid, number")
            return [rows.from_json(Revision, row["body"]) for row in found]

    def put(self, revision: Revision) -> Revision:
        """Write a revision and return it."""
        key = {"uid": revision.uid, "number": revision.number}
        with self._db.transaction() as conn:
            values = {**key, "state": revision.state, "body": dataclasses.asdict(revision)}
            rows.upsert(conn, "isvc_revisions", tuple(key), values)
        return revision

    def delete(self, revision: Revision) -> None:
        """Forget a revision."""
        with self._db.transaction() as conn:
            conn.execute("DELETE FROM isvc_revisions WHERE uid = ? AND number = ?", (revision.uid, revision.number))
