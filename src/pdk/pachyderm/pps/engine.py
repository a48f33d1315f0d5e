"""Pps: the pipeline system, as the composition root and the api see it.

One object per server, made by `pdk.stack` on top of a `Pfs` with the same `Database` and `Changes`. It hooks into pfs in its
constructor, so it must be made before the first client is served; `start` runs the job loop once the server knows its address.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pdk.db.database import Database
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.types import CommitHandle
from pdk.pachyderm.pps.datums import DatumLister
from pdk.pachyderm.pps.environment import Address
from pdk.pachyderm.pps.errors import DatumNotRunning
from pdk.pachyderm.pps.images import ImageMap
from pdk.pachyderm.pps.inputs import check_unique_names, parse_input, pfs_inputs, with_input_defaults
from pdk.pachyderm.pps.job_runs import JobRuns
from pdk.pachyderm.pps.jobs import Jobs
from pdk.pachyderm.pps.logs import Logs
from pdk.pachyderm.pps.pipelines import Pipelines
from pdk.pachyderm.pps.scratch import remove_tree
from pdk.pachyderm.pps.secrets import Secrets
from pdk.pachyderm.pps.types import Datum, Job, JobDetails, JobInfo, Json
from pdk.pachyderm.pps.user_code import Surroundings
from pdk.pachyderm.store.logs import LogFiles
from pdk.pachyderm.values import Commit, Repo
from pdk.process.child import Launcher, namespaces_available, reap_leftovers
from pdk.reconcile.changes import Changes


@dataclass(frozen=True)
class PpsSettings:
    """`data_dir` holds logs and scratch folders; `marker_prefix` must differ between data folders (see `process.tree`).

    `path` is user code's PATH where its image's stand-in says no other; `threads` its OMP_NUM_THREADS; `max_parallel_datums`
    caps a spec's parallelism; `max_running_jobs` is the number of pipelines that may run at once.
    """

    data_dir: Path
    marker_prefix: str
    path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    threads: int = 1
    max_parallel_datums: int = 4
    max_running_jobs: int = 16


class Pps:
    """Pipelines, jobs, datums, logs and secrets."""

    def __init__(
        self, db: Database, pfs: Pfs, changes: Changes, launcher: Launcher, images: ImageMap, settings: PpsSettings
    ) -> None:
        """Hook into `pfs`; nothing runs before `start`."""
        self._db = db
        self._pfs = pfs
        self._changes = changes
        self._launcher = launcher
        self._images = images
        self._settings = settings
        self._runs: JobRuns | None = None
        self.secrets = Secrets(db)
        self.logs = Logs(db, LogFiles(settings.data_dir / "logs"), changes)
        self.jobs = Jobs(db, pfs, changes, self.logs)
        self.pipelines = Pipelines(db, pfs, changes, self.secrets, self.jobs, self.logs)
        pfs.on_propagate.append(self.jobs.propagate_jobs)

    def start(self, host: str, port: int) -> None:
        """End what a killed server left running, then run jobs; `host` and `port`: where user code reaches this pachd."""
        reap_leftovers(self._settings.marker_prefix)
        scratch = self._settings.data_dir / "scratch"
        remove_tree(scratch)
        surroundings = Surroundings(
            pfs=self._pfs,
            launcher=self._launcher,
            images=self._images,
            secrets=self.secrets,
            scratch_root=scratch,
            address=Address(host, port),
            path=self._settings.path,
            threads=self._settings.threads,
            marker_prefix=self._settings.marker_prefix,
            no_namespace=namespaces_available(),
        )
        self._runs = JobRuns(
            self._db,
            self.jobs,
            self.logs,
            surroundings,
            self._settings.max_parallel_datums,
            self._settings.max_running_jobs,
        )
        self.jobs.on_changed.append(self._runs.on_job_changed)
        self._pfs.on_finished.append(self._runs.on_commit_settled)
        self._runs.start()

    def stop(self) -> None:
        """End running user code and the loop; what was not finished goes on after the next start."""
        if self._runs is not None:
            self._runs.stop()
        self.logs.close()

    def job_details(self, info: JobInfo) -> JobDetails:
        """Return the spec a job runs with and what it is doing now."""
        effective, salt = self.jobs.spec_of(info)
        running = self._runs.running_datums(info.job) if self._runs is not None else ()
        return JobDetails(effective, salt, running)

    def preview_datums(self, canonical: Json, project: str) -> list[Datum]:
        """Return the datums a pipeline with this canonical input would have now.

        Raises InvalidSpec, NotFound (repo or branch).
        """
        tree = parse_input(with_input_defaults(canonical, project))
        check_unique_names(tree)
        heads: dict[Repo, Commit] = {}
        for leaf in pfs_inputs(tree):
            head = self._pfs.inspect_branch(leaf.branch).head
            if head is not None:
                heads[leaf.branch.repo] = head
        return DatumLister(self._pfs, heads).list_datums(tree, "")

    def resolve(self, handle: CommitHandle) -> Commit:
        """Return the commit a client means. Raises NotFound."""
        return self._pfs.resolve(handle)

    def restart_datum(self, job: Job, data_filters: Sequence[str]) -> None:
        """Begin the datums that are being processed and match every filter (path or hash) anew, not counted as a try.

        Raises JobNotFound, DatumNotRunning.
        """
        self.jobs.inspect_job(job)
        if self._runs is None or not self._runs.restart_datum(job, data_filters):
            raise DatumNotRunning(job, data_filters)
