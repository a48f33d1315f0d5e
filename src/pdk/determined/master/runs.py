"""The trial loop: compares what is wanted of each trial (rows) with its process, and moves one step nearer.

One key is one trial. Nothing is remembered that rows do not say, except the processes themselves: an open allocation
without a process was lost with an earlier master and is closed, not counted as a failure, and run again from the latest
checkpoint. Mirrors what master and agent of the original do together.
"""

import datetime
import logging
import signal
import threading
import time
from collections.abc import Callable

from pdk.base.clock import from_rfc3339, now
from pdk.db.database import Database
from pdk.determined.master.config.experiment import is_legacy
from pdk.determined.master.launch import CannotLaunch, RunFolders, TrialLaunch
from pdk.determined.master.logs import TaskLogs, TaskOutput
from pdk.determined.master.settings import MasterSettings
from pdk.determined.master.signals import Signals
from pdk.determined.master.transitions import Exit, Tokens, Transitions
from pdk.determined.store import checkpoints, experiments, identity, logs, trials
from pdk.determined.store.files import ModelDefinitions
from pdk.determined.store.records import Allocation, Trial, TrialId
from pdk.determined.store.states import TERMINAL, TERMINAL_OF, LifeState
from pdk.process.child import Child, Launcher, namespaces_available, reap_leftovers
from pdk.reconcile.loop import Reconciler

logger = logging.getLogger(__name__)

RESYNC_SECONDS = 10.0
NAMESPACE_FAILED = 125


class Run:
    """A running process of an allocation; a thread of its own waits for the exit and calls `on_exit`."""

    def __init__(self, allocation: Allocation, child: Child, on_exit: Callable[[], None]) -> None:
        self.allocation = allocation
        self.status: int | None = None
        self._child = child
        self._on_exit = on_exit
        self._waiter = threading.Thread(target=self._wait, name=f"wait-{allocation.id[-40:]}", daemon=True)
        self._waiter.start()

    def _wait(self) -> None:
        try:
            self.status = self._child.wait()
        except TimeoutError:
            # A process stuck in the kernel: what can be ended has been, the trial must not wait for the rest.
            logger.exception("%s has processes that cannot be ended", self.allocation.id)
            self.status = -signal.SIGKILL
        self._on_exit()

    def kill(self) -> None:
        """End the whole process tree; the exit is then noticed as any other."""
        self._child.kill()

    def join(self, timeout: float) -> None:
        """Wait until the exit was noticed."""
        self._waiter.join(timeout)


class TrialLoop:
    """Starts, steers and buries the processes of trials."""

    def __init__(
        self,
        db: Database,
        settings: MasterSettings,
        signals: Signals,
        transitions: Transitions,
        log_store: TaskLogs,
        definitions: ModelDefinitions,
        launcher: Launcher,
    ) -> None:
        self._db = db
        self._settings = settings
        self._signals = signals
        self._transitions = transitions
        self._logs = log_store
        self._definitions = definitions
        self._launcher = launcher
        self._folders: RunFolders | None = None
        self._runs: dict[TrialId, Run] = {}
        self._draining = False
        self._isolated: bool | None = None
        self._loop = Reconciler("trials", self._reconcile, self._keys, RESYNC_SECONDS, workers=2)

    def start(self, folders: RunFolders) -> None:
        """End what an earlier master left running, then begin."""
        left = reap_leftovers(self._settings.marker_prefix)
        if left:
            logger.warning("ended %d processes of trials that an earlier master left", left)
        folders.clear()
        self._folders = folders
        self._signals.wake_trial = lambda trial_id: self._loop.enqueue(str(trial_id))
        self._loop.start()
        # Takes a moment, and the first trial would have to wait for it.
        threading.Thread(target=self._namespaces, name="namespace-probe", daemon=True).start()

    def stop(self) -> None:
        """Ask running trials to checkpoint and exit, kill the rest after the grace; they resume at the next start."""
        self._draining = True
        deadline = time.monotonic() + self._settings.stop_grace
        for trial_id in list(self._runs):
            self._loop.enqueue(str(trial_id))
        while self._runs and time.monotonic() < deadline:
            time.sleep(0.05)
        self._loop.stop()
        for run in list(self._runs.values()):
            # The allocation stays open: the next master finds it without a process and runs the trial again.
            run.kill()
            run.join(10.0)

    def _keys(self) -> list[str]:
        with self._db.read() as conn:
            return [str(trial_id) for trial_id in trials.unfinished(conn)]

    def _reconcile(self, key: str) -> float | None:
        trial_id = TrialId(int(key))
        with self._db.read() as conn:
            trial = trials.trial(conn, trial_id)
            allocation = trials.open_allocation(conn, trial_id)
        if trial is None or (allocation is None and trial.state in TERMINAL):
            return None
        if allocation is None:
            return self._without_allocation(trial)
        run = self._runs.get(trial_id)
        if run is None:
            self._end(allocation, Exit(None, lost=True))
            return None
        if run.status is not None:
            self._bury(trial_id, run)
            return None
        return self._steer(trial, allocation, run)

    def _without_allocation(self, trial: Trial) -> float | None:
        if trial.state in TERMINAL_OF:
            self._transitions.stop_without_allocation(trial.id)
        elif trial.state is LifeState.ACTIVE and not self._draining:
            opened = self._transitions.open_allocation(trial.id, self._settings.slots)
            if opened is not None:
                self._begin(*opened)
        return None

    def _begin(self, trial: Trial, allocation: Allocation, tokens: Tokens) -> None:
        try:
            self._runs[trial.id] = self._launch(trial, allocation, tokens)
        except CannotLaunch as error:
            self._end(allocation, Exit(None, str(error), fatal=True))
        except OSError as error:
            logger.exception("trial %d: cannot start %s", trial.id, allocation.id)
            self._end(allocation, Exit(None, f"the trial's process could not be started: {error}"))
        else:
            self._transitions.mark_running(trial, allocation)

    def _launch(self, trial: Trial, allocation: Allocation, tokens: Tokens) -> Run:
        assert self._folders is not None, "the trial loop was not started"
        launch = self._gather(trial, allocation, tokens)
        # The original's launch layer puts the rank before each line of a trial class.
        rank = 0 if is_legacy(launch.experiment.config["entrypoint"]) else None
        output = TaskOutput(self._logs, allocation, rank, self._settings.max_trial_log_bytes)
        spec = self._folders.prepare(launch, self._namespaces())
        child = self._launcher.start(spec, output.write)
        return Run(allocation, child, lambda: self._loop.enqueue(str(trial.id)))

    def _gather(self, trial: Trial, allocation: Allocation, tokens: Tokens) -> TrialLaunch:
        with self._db.read() as conn:
            experiment = experiments.experiment(conn, trial.experiment_id)
            latest = checkpoints.latest(conn, trial.id)
            owner = identity.user(conn, experiment.owner_id) if experiment is not None else None
        if experiment is None or owner is None:
            raise CannotLaunch("the experiment is gone")
        return TrialLaunch(
            trial=trial,
            allocation=allocation,
            experiment=experiment,
            owner=owner.username,
            tokens=tokens,
            latest_checkpoint=trial.warm_start if latest is None else latest.uuid,
            model_definition=self._definitions.get(experiment.model_definition),
        )

    def _namespaces(self) -> bool:
        if self._isolated is None:
            reason = namespaces_available()
            self._isolated = reason is None
            if reason is not None:
                logger.warning("no mount namespaces (%s): trials find /run/determined through sitecustomize", reason)
        return self._isolated

    def _steer(self, trial: Trial, allocation: Allocation, run: Run) -> float | None:
        """Bring a running process nearer to what is wanted; return seconds until something is due."""
        if trial.state in TERMINAL_OF and trial.state is not LifeState.STOPPING_CANCELED:
            return self._kill(run, "trial killed")
        if trial.early_exit_at is not None:
            due = from_rfc3339(trial.early_exit_at) + datetime.timedelta(seconds=self._settings.invalid_hp_grace)
            return _until(due) or self._kill(run, "timeout after user initiated early exit")
        reason = self._preemption_reason(trial)
        if reason is None:
            return None
        if allocation.preempt_deadline is None:
            self._transitions.preempt(trial, allocation, reason)
            return 0.0
        return _until(from_rfc3339(allocation.preempt_deadline)) or self._kill(run, "preemption timeout")

    def _preemption_reason(self, trial: Trial) -> str | None:
        if trial.state is LifeState.PAUSED:
            return "experiment paused"
        if trial.state is LifeState.STOPPING_CANCELED:
            return "experiment canceled"
        return "the master is stopping" if self._draining else None

    def _kill(self, run: Run, reason: str) -> float:
        self._transitions.note_kill(run.allocation, reason)
        run.kill()
        return 5.0

    def _bury(self, trial_id: TrialId, run: Run) -> None:
        self._logs.flush()
        status = run.status or 0
        detail = self._namespace_failure(run.allocation) if status == NAMESPACE_FAILED else ""
        self._end(run.allocation, Exit(status, detail, fatal=bool(detail)))
        del self._runs[trial_id]

    def _namespace_failure(self, allocation: Allocation) -> str:
        with self._db.read() as conn:
            last = logs.tail(conn, allocation.id, allocation.trial_id, 1)
        return last[0] if last and last[0].startswith("cannot make the mount namespace") else ""

    def _end(self, allocation: Allocation, exit_: Exit) -> None:
        assert self._folders is not None, "the trial loop was not started"
        self._folders.remove(allocation.id)
        self._transitions.close_allocation(allocation.id, exit_)


def _until(moment: datetime.datetime) -> float:
    """Return seconds until `moment`, 0 when it has passed."""
    return max(0.0, (moment - now()).total_seconds())
