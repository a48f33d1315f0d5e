"""Pipelines: create, update, inspect, list, start, stop, rerun, delete.

Called by the api. Mirrors `CreatePipelineV2` and its neighbours in the original's pps server. Every call
is one transaction of pfs, so repos, branches, spec commit, pipeline row, and the first output commit with its job
appear together or not at all.
"""

import re
import sqlite3
from collections.abc import Sequence

from pdk.base.clock import rfc3339_now
from pdk.base.errors import AlreadyExists, InvalidArgument
from pdk.base.ids import new_id
from pdk.db.database import Database
from pdk.pachyderm.errors import BranchNotFound, RepoExists, RepoNotFound
from pdk.pachyderm.pfs import branches, commits, repos
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.transaction import PfsTransaction
from pdk.pachyderm.pps import inputs
from pdk.pachyderm.pps.errors import PipelineExists, PipelineNotFound
from pdk.pachyderm.pps.job_infos import pipeline_info, pipeline_of
from pdk.pachyderm.pps.jobs import Jobs
from pdk.pachyderm.pps.logs import Logs
from pdk.pachyderm.pps.secrets import Secrets
from pdk.pachyderm.pps.spec import ParsedRequest, parse_request, parse_spec
from pdk.pachyderm.pps.types import Job, Json, Pipeline, PipelineInfo, PipelineSpec
from pdk.pachyderm.store import datums as datum_rows
from pdk.pachyderm.store import jobs as job_rows
from pdk.pachyderm.store import pipelines as rows
from pdk.pachyderm.store.pipelines import PipelineRow
from pdk.pachyderm.values import MASTER, NO_JOB, Branch, JobId
from pdk.reconcile.changes import Changes

# A pipeline as it was N versions before: `name^N`.
_OLDER = re.compile(r"([A-Za-z0-9_-]+)\^(\d{0,9})")


class Pipelines:
    """The pipelines of this pachd."""

    def __init__(self, db: Database, pfs: Pfs, changes: Changes, secrets: Secrets, jobs: Jobs, logs: Logs) -> None:
        self._db = db
        self._pfs = pfs
        self._changes = changes
        self._secrets = secrets
        self._jobs = jobs
        self._logs = logs

    # Create and update

    def create_pipeline(
        self, user_json: str, canonical: Json, update: bool = False, reprocess: bool = False, dry_run: bool = False
    ) -> Json:
        """Create or update a pipeline from a `CreatePipelineRequest` as written and as read; return the effective spec.

        The flags count whether given here or in the request. Raises InvalidSpec, Unimplemented, MissingSecret,
        PipelineExists, AlreadyExists (a repo has the name), RepoNotFound (input), ProjectNotFound, InvalidProvenance
        (a cycle).
        """
        request = parse_request(canonical)
        if dry_run or request.dry_run:
            return request.effective
        with self._pfs.transaction() as tx:
            self._store(tx, request, user_json, update or request.update, reprocess or request.reprocess)
        self._logs.master(request.spec.pipeline, "pipeline was updated" if update else "pipeline was created")
        self._changes.notify()
        return request.effective

    def user_spec(self, pipeline: Pipeline) -> str:
        """Return the JSON the present version of a pipeline was made from. Raises PipelineNotFound."""
        with self._db.read() as conn:
            return self._row(conn, pipeline).user_spec

    def _store(self, tx: PfsTransaction, request: ParsedRequest, user_json: str, update: bool, reprocess: bool) -> None:
        spec, pipeline = request.spec, request.spec.pipeline
        previous = rows.get(tx.conn, pipeline.key)
        if previous is not None and not update:
            raise PipelineExists(pipeline)
        self._check_inputs(spec)
        self._secrets.check(spec.transform.secrets)
        if previous is None:
            _create_repos(tx, pipeline)
        else:
            self._jobs.end_all(tx, pipeline, "all jobs killed because pipeline was updated")
            repos.create_repo(tx, pipeline.output_repo, f"Output repo for pipeline {pipeline}.", update=True)
        spec_commit = commits.create_finished_commit(tx, Branch(pipeline.spec_repo, MASTER))
        moment = rfc3339_now()
        rows.insert(
            tx.conn,
            PipelineRow(
                project=pipeline.project,
                name=pipeline.name,
                version=previous.version + 1 if previous else 1,
                spec_commit=spec_commit.id,
                created=previous.created if previous else moment,
                updated=moment,
                stopped=previous is not None and previous.stopped,
                salt=request.salt or (previous.salt if previous and not reprocess else new_id()),
                user_spec=user_json,
                effective_spec=request.effective,
            ),
        )
        if previous is not None and previous.effective_spec["output_branch"] != spec.output_branch:
            # The old branch keeps its commits and gets no new ones.
            _detach(tx, pipeline, previous)
        if previous is None or not previous.stopped:
            self._attach(tx, spec)

    def _check_inputs(self, spec: PipelineSpec) -> None:
        for branch in inputs.branches(spec.input):
            self._pfs.inspect_repo(branch.repo)

    def _attach(self, tx: PfsTransaction, spec: PipelineSpec) -> None:
        """Let output and meta branch come from the inputs and the spec; a missing input branch is made, empty."""
        provenance = inputs.branches(spec.input)
        for branch in provenance:
            try:
                self._pfs.inspect_branch(branch)
            except BranchNotFound:
                branches.create_branch(tx, branch)
        provenance.append(Branch(spec.pipeline.spec_repo, MASTER))
        for repo in (spec.pipeline.output_repo, spec.pipeline.meta_repo):
            branches.create_branch(tx, Branch(repo, spec.output_branch), direct_provenance=provenance)

    # Start, stop, delete

    def stop_pipeline(self, pipeline: Pipeline, must_exist: bool = False) -> None:
        """Kill the pipeline's jobs and cut it off from its inputs. Raises PipelineNotFound with `must_exist`."""
        with self._pfs.transaction() as tx:
            row = self._row(tx.conn, pipeline) if must_exist else rows.get(tx.conn, pipeline.key)
            if row is None or row.stopped:
                return
            rows.set_stopped(tx.conn, pipeline.key, True)
            self._jobs.end_all(tx, pipeline, "all jobs killed because pipeline was stopped")
            _detach(tx, pipeline, row)
        self._logs.master(pipeline, "pipeline was stopped")

    def start_pipeline(self, pipeline: Pipeline) -> None:
        """Connect a stopped pipeline with its inputs again, which gives a new job. Raises PipelineNotFound."""
        with self._pfs.transaction() as tx:
            row = self._row(tx.conn, pipeline)
            if not row.stopped:
                return
            rows.set_stopped(tx.conn, pipeline.key, False)
            spec = parse_spec(row.effective_spec)
            self._check_inputs(spec)
            self._attach(tx, spec)
        self._logs.master(pipeline, "pipeline was started")

    def delete_pipeline(
        self, pipeline: Pipeline, force: bool = False, keep_repo: bool = False, must_exist: bool = False
    ) -> None:
        """Remove a pipeline with its jobs, versions and repos; `keep_repo` leaves the output repo as a plain one.

        Raises BranchInUse when another pipeline reads it and `force` is not given, PipelineNotFound with `must_exist`.
        """
        with self._pfs.transaction() as tx:
            row = self._row(tx.conn, pipeline) if must_exist else rows.get(tx.conn, pipeline.key)
            if row is None:
                return
            self._jobs.end_all(tx, pipeline, "all jobs killed because pipeline was deleted")
            job_rows.delete_of_pipeline(tx.conn, pipeline.key)
            datum_rows.delete_of_pipeline(tx.conn, pipeline.key)
            rows.delete(tx.conn, pipeline.key)
            try:
                _detach(tx, pipeline, row)
            except RepoNotFound:
                pass  # the repos went with their whole project
            else:
                # The output repo takes the other two with it.
                gone = (pipeline.meta_repo, pipeline.spec_repo) if keep_repo else (pipeline.output_repo,)
                for repo in gone:
                    repos.delete_repo(tx, repo, force=force, pipeline=True)
        self._logs.files.delete_pipeline(pipeline.key)

    def delete_pipelines(
        self, projects: Sequence[str], everywhere: bool, force: bool, keep_repo: bool
    ) -> list[Pipeline]:
        """Remove the pipelines of some projects, or all, downstream ones first; return what was removed."""
        with self._pfs.transaction() as tx:
            found = [pipeline_of(row) for row in rows.list_current(tx.conn)]
            chosen = [pipeline for pipeline in found if everywhere or pipeline.project in projects]
            # Newest first: a pipeline is created after those it reads, unless an update turned that round.
            for pipeline in chosen:
                self.delete_pipeline(pipeline, force, keep_repo)
        return chosen

    # Inspect and list

    @staticmethod
    def _row(conn: sqlite3.Connection, pipeline: Pipeline) -> PipelineRow:
        row = rows.get(conn, pipeline.key)
        if row is None:
            raise PipelineNotFound(pipeline)
        return row

    def inspect_pipeline(self, pipeline: Pipeline) -> PipelineInfo:
        """Describe a pipeline; `name^N` is its version N before the present one. Raises PipelineNotFound."""
        match = _OLDER.fullmatch(pipeline.name)
        base = Pipeline(pipeline.project, match[1]) if match else pipeline
        back = int(match[2] or 1) if match else 0
        with self._db.read() as conn:
            row: PipelineRow | None = self._row(conn, base)
            if back and row is not None:
                row = rows.get(conn, base.key, row.version - back)
            if row is None:
                raise PipelineNotFound(pipeline)
            return pipeline_info(conn, row)

    def list_pipeline(
        self, pipeline: Pipeline | None = None, projects: Sequence[str] = (), history: int = 0, set_id: JobId = NO_JOB
    ) -> list[PipelineInfo]:
        """Describe pipelines, newest first; `history` n = also n versions before, -1 all; `set_id`: as of that set."""
        with self._db.read() as conn:
            current = [self._row(conn, pipeline)] if pipeline else rows.list_current(conn)
            current = [row for row in current if not projects or row.project in projects]
            result: list[PipelineRow] = []
            for row in current:
                versions = rows.list_versions(conn, pipeline_of(row).key)
                if set_id:
                    job = job_rows.get(conn, Job(pipeline_of(row), set_id).key)
                    result += [version for version in versions if job and version.version == job.version]
                else:
                    result += versions if history < 0 else versions[: history + 1]
            return [pipeline_info(conn, row) for row in result]

    def run_cron(self, pipeline: Pipeline) -> None:
        """There are no cron inputs yet, so the original's error for a pipeline without one. Raises PipelineNotFound."""
        with self._db.read() as conn:
            self._row(conn, pipeline)
        raise InvalidArgument("pipeline doesn't have a cron input")


def _create_repos(tx: PfsTransaction, pipeline: Pipeline) -> None:
    try:
        repos.create_repo(tx, pipeline.output_repo, f"Output repo for pipeline {pipeline}.")
    except RepoExists as error:
        raise AlreadyExists(
            f'pipeline "{pipeline.name}" cannot be created because a repo with the same name already exists'
        ) from error
    repos.create_repo(tx, pipeline.spec_repo, f"Spec repo for pipeline {pipeline}.")
    repos.create_repo(tx, pipeline.meta_repo, f"Meta repo for pipeline {pipeline}.")


def _detach(tx: PfsTransaction, pipeline: Pipeline, row: PipelineRow) -> None:
    """Let output and meta branch of a version come from nothing. Raises RepoNotFound."""
    for repo in (pipeline.output_repo, pipeline.meta_repo):
        branches.create_branch(tx, Branch(repo, row.effective_spec["output_branch"]))
