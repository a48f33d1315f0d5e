"""Rows of the InferenceService controller: services, their revisions, and the process that runs each.

The objects clients see (status, pods, deployments) are derived from these rows, never the other way round, so a killed
server finds in them what it had started and where it was. In the same database as the objects, in tables of their own.
"""

import contextlib
import dataclasses
import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pdk.db.database import Database, Migration

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


class RevisionState(enum.StrEnum):
    """Where a revision is.

    PENDING > FETCHING > STARTING > READY > DRAINING > STOPPING > STOPPED; a failure leads from the first four to FAILED,
    which waits for its next attempt and goes on at PENDING.
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


@dataclass(frozen=True)
class Failure:
    """The last failure of a revision; `reason` is one of KServe's, `time` RFC 3339."""

    reason: str
    message: str
    time: str
    exit_code: int | None = None


@dataclass(frozen=True)
class Process:
    """A TorchServe that was started. `pid` is None between the decision to start and the start."""

    marker: str
    temp: str
    ports: Mapping[str, int]
    pid: int | None = None
    start_ticks: int = 0
    models: tuple[str, ...] = ()
    max_request_bytes: int = 0
    response_timeout: float = 0.0
    probe_model: str = ""
    """The model whose archive has a probe; empty without one."""


@dataclass(frozen=True)
class Revision:
    """One revision of an InferenceService. Times in `stages` are Unix seconds by stage name."""

    uid: str
    namespace: str
    service: str
    number: int
    digest: str
    predictor: Mapping[str, Any]
    """`spec.predictor` as it was when the revision was made."""
    annotations: Mapping[str, str]
    """The annotations of the InferenceService that reach its pods."""
    pod: str
    generation: int
    state: RevisionState = RevisionState.PENDING
    attempts: int = 0
    """Failed attempts since it last was ready for long."""
    restarts: int = 0
    fetch_restarts: int = 0
    """As the pod shows them."""
    retry_at: float = 0.0
    """Unix seconds before which a FAILED or waiting revision is left alone."""
    deadline: float = 0.0
    """Unix seconds at which loading, draining or stopping is over."""
    waiting: str = ""
    """What a PENDING revision waits for, e.g. a commit that is still open."""
    failure: Failure | None = None
    process: Process | None = None
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`<service>-predictor-00001`."""
        return f"{self.service}-predictor-{self.number:05d}"

    @property
    def key(self) -> str:
        """Unique among all revisions that ever were."""
        return f"{self.uid}/{self.number}"

    def at(self, stage: str, moment: float) -> dict[str, float]:
        """Return `stages` with the time of one more stage."""
        return {**self.stages, stage: moment}


@dataclass(frozen=True)
class ServiceRow:
    """What is remembered of an InferenceService: which revision has, and had before, all the traffic.

    `last_number` only grows: the name of a revision is never used again.
    """

    uid: str
    namespace: str
    name: str
    last_number: int = 0
    rolled_out: int | None = None
    previous_rolled_out: int | None = None


class Revisions:
    """Row access; each method is one transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def transaction(self) -> contextlib.AbstractContextManager[object]:
        """Make several writes, also of the object store in the same database, one change."""
        return self._db.transaction()

    def services(self, namespace: str, name: str) -> list[ServiceRow]:
        """Return the rows of a name: one, or several while a deleted one of the same name is being taken down."""
        with self._db.read() as conn:
            rows = conn.execute("SELECT * FROM isvc_services WHERE namespace = ? AND name = ?", (namespace, name))
            return [ServiceRow(**dict(row)) for row in rows]

    def keys(self) -> list[str]:
        """Return `namespace/name` of every service there are rows for."""
        with self._db.read() as conn:
            rows = conn.execute("SELECT DISTINCT namespace, name FROM isvc_services")
            return [f"{row['namespace']}/{row['name']}" for row in rows]

    def put_service(self, row: ServiceRow) -> None:
        """Write a service."""
        with self._db.transaction() as conn:
            conn.execute(
                "INSERT INTO isvc_services VALUES (:uid, :namespace, :name, :last_number, :rolled_out, :previous_rolled_out) "
                "ON CONFLICT (uid) DO UPDATE SET last_number = :last_number, rolled_out = :rolled_out, "
                "previous_rolled_out = :previous_rolled_out",
                dataclasses.asdict(row),
            )

    def delete_service(self, uid: str) -> None:
        """Forget a service and its revisions."""
        with self._db.transaction() as conn:
            conn.execute("DELETE FROM isvc_services WHERE uid = ?", (uid,))

    def of_service(self, uid: str) -> list[Revision]:
        """Return the revisions of a service, oldest first."""
        with self._db.read() as conn:
            rows = conn.execute("SELECT body FROM isvc_revisions WHERE uid = ? ORDER BY number", (uid,))
            return [_decode(row["body"]) for row in rows]

    def get(self, uid: str, number: int) -> Revision | None:
        """Return one revision, None when it is gone."""
        with self._db.read() as conn:
            row = conn.execute("SELECT body FROM isvc_revisions WHERE uid = ? AND number = ?", (uid, number)).fetchone()
            return None if row is None else _decode(row["body"])

    def all(self) -> list[Revision]:
        """Return every revision."""
        with self._db.read() as conn:
            rows = conn.execute("SELECT body FROM isvc_revisions ORDER BY uid, number")
            return [_decode(row["body"]) for row in rows]

    def put(self, revision: Revision) -> Revision:
        """Write a revision and return it."""
        with self._db.transaction() as conn:
            conn.execute(
                "INSERT INTO isvc_revisions VALUES (?, ?, ?, ?) "
                "ON CONFLICT (uid, number) DO UPDATE SET state = excluded.state, body = excluded.body",
                (revision.uid, revision.number, revision.state.value, json.dumps(dataclasses.asdict(revision))),
            )
        return revision

    def delete(self, revision: Revision) -> None:
        """Forget a revision."""
        with self._db.transaction() as conn:
            conn.execute("DELETE FROM isvc_revisions WHERE uid = ? AND number = ?", (revision.uid, revision.number))


def _decode(body: str) -> Revision:
    fields: dict[str, Any] = json.loads(body)
    fields["state"] = RevisionState(fields["state"])
    if fields["failure"] is not None:
        fields["failure"] = Failure(**fields["failure"])
    if fields["process"] is not None:
        fields["process"] = Process(**{**fields["process"], "models": tuple(fields["process"]["models"])})
    return Revision(**fields)
