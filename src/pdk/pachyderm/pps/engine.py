"""Pps: the pipeline system, as the composition root and the api see it.

One object per server, made by `pdk.stack` on top of a `Pfs` with the same `Database` and `Changes`. It hooks into pfs
in its constructor, so it must be made before the first client is served; `start` runs the job loop once the server
knows its address.
"""

from collections.abc import Sequence

from pdk.db.database import Database
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pps.datums import DatumLister
from pdk.pachyderm.pps.errors import DatumNotRunning
from pdk.pachyderm.pps.images import ImageMap
from pdk.pachyderm.pps.inputs import check_unique_names, parse_input, pfs_inputs, with_input_defaults
from pdk.pachyderm.pps.job_runs import JobRuns
from pdk.pachyderm.pps.jobs import Jobs
from pdk.pachyderm.pps.logs import Logs
from pdk.pachyderm.pps.pipelines import Pipelines
from pdk.pachyderm.pps.running import RunningJob
from pdk.pachyderm.pps.scratch import remove_tree
from pdk.pachyderm.pps.secrets import Secrets
from pdk.pachyderm.pps.settings import Address, PpsSettings
from pdk.pachyderm.pps.types import Datum, Job, JobDetails, JobInfo, Json
from pdk.pachyderm.pps.user_code import Surroundings
from pdk.pachyderm.store.logs import LogFiles
from pdk.pachyderm.values import Commit, Repo
from pdk.process.child import Launcher, namespaces_available, reap_leftovers
from pdk.reconcile.changes import Changes


class Pps:
    """Pipelines, jobs, datums, logs and secrets."""

    def __init__(
        self, db: Database, pfs: Pfs, changes: Changes, launcher: Launcher, images: ImageMap, settings: PpsSettings
    ) -> None:
        """Hook into `pfs`; nothing runs before `start`."""
        self._db = db
        self._pfs = pfs
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
        """End what a killed server left running, then run jobs; user code reaches this pachd at `host` and `port`."""
        reap_leftovers(self._settings.marker_prefix)
        remove_tree(self._settings.scratch_root)
        surroundings = Surroundings(
            pfs=self._pfs,
            launcher=self._launcher,
            images=self._images,
            secrets=self.secrets,
            settings=self._settings,
            address=Address(host, port),
            no_namespace=namespaces_available(),
        )
        self._runs = JobRuns(self._db, self.jobs, self.logs, surroundings)
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
        running = self._running(info.job)
        return JobDetails(effective, salt, running.datums if running is not None else ())

    def _running(self, job: Job) -> RunningJob | None:
        return self._runs.running(job) if self._runs is not None else None

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

    def restart_datum(self, job: Job, data_filters: Sequence[str]) -> None:
        """Begin the datums that are being processed and match every filter (path or hash) anew, not counted as a try.

        Raises JobNotFound, DatumNotRunning.
        """
        self.jobs.inspect_job(job)
        running = self._running(job)
        if running is None or not running.restart(data_filters):
            raise DatumNotRunning(job, data_filters)
