"""The life cycle of trials and experiments: every function runs in one transaction and leaves the rows consistent.

Called by the verbs of experiments and trials (what a user wants) and by the trial loop (what processes do). Mirrors
master/internal/trial.go (allocation exits, restarts) and experiment.go (creating trials, finishing). Wanted states and
facts are rows; the trial loop only compares the two.
"""

import datetime
import functools
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pdk.base.clock import now, rfc3339_now, to_rfc3339
from pdk.base.ids import new_uuid
from pdk.db.database import Database
from pdk.db.rows import insert, update
from pdk.determined.master import retention, search
from pdk.determined.master.config import pools
from pdk.determined.master.config.experiment import SearcherName
from pdk.determined.master.logs import master_line
from pdk.determined.master.signals import Chore, Signals
from pdk.determined.master.users import end_allocation_sessions, new_session
from pdk.determined.store import checkpoints, experiments, logs, metrics, trials
from pdk.determined.store.records import Allocation, AllocationId, Experiment, ExperimentId, Trial, TrialId
from pdk.determined.store.states import TERMINAL, TERMINAL_OF, AllocationState, LifeState, LogLevel

DEFAULT_PREEMPTION_SECONDS = 3600
T = TypeVar("T")
TAIL_LINES = 50


@dataclass(frozen=True)
class Exit:
    """How an allocation ended. `code` None: it never ran or nobody knows; `lost`: not the trial's fault, run it again
    without counting; `fatal`: another run cannot help.
    """

    code: int | None
    detail: str = ""
    lost: bool = False
    fatal: bool = False


@dataclass(frozen=True)
class Tokens:
    """The secrets of one allocation; only their hashes are stored."""

    task: str
    user: str


class Transitions:
    """Changes of state, each joining or making one transaction."""

    def __init__(self, db: Database, signals: Signals) -> None:
        self._db = db
        self._signals = signals

    def advance_experiment(self, conn: sqlite3.Connection, experiment_id: ExperimentId) -> None:
        """Create the trials that may run now; finish the experiment when all that it wanted have ended."""
        experiment = experiments.experiment(conn, experiment_id)
        if experiment is None or experiment.state in (*TERMINAL, LifeState.DELETING):
            return
        all_trials = trials.of_experiment(conn, experiment_id)
        if experiment.state in (LifeState.ACTIVE, LifeState.PAUSED):
            self._create_trials(conn, experiment, all_trials)
            all_trials = trials.of_experiment(conn, experiment_id)
        if all(trial.state in TERMINAL for trial in all_trials):
            self._finish_experiment(conn, experiment, all_trials)

    def _create_trials(self, conn: sqlite3.Connection, experiment: Experiment, present: Sequence[Trial]) -> None:
        wanted = search.total(experiment.config)
        if experiment.config["searcher"]["name"] == SearcherName.RANDOM:
            wanted += min(wanted, sum(trial.early_exit is not None for trial in present))
        open_count = sum(trial.state not in TERMINAL for trial in present)
        room = min(search.concurrent(experiment.config) - open_count, wanted - len(present))
        for index in range(len(present), len(present) + room):
            create = search.nth(experiment.config, index)
            if create is not None:
                self._create_trial(conn, experiment, create)

    def _create_trial(self, conn: sqlite3.Connection, experiment: Experiment, create: search.Create) -> None:
        moment = rfc3339_now()
        row = {
            "experiment_id": experiment.id,
            "request_id": create.request_id,
            "task_id": f"{experiment.id}.{create.request_id}",
            "seed": create.seed,
            "hparams": create.hparams,
            "state": experiment.state,
            "start_time": moment,
            "queued_at": moment,
            "warm_start": experiment.warm_start,
        }
        self._wake_after_commit(TrialId(insert(conn, "trials", row)))

    def _finish_experiment(self, conn: sqlite3.Connection, experiment: Experiment, ended: Sequence[Trial]) -> None:
        states = {trial.state for trial in ended}
        state = TERMINAL_OF.get(experiment.state, LifeState.COMPLETED)
        if experiment.state not in TERMINAL_OF and states in ({LifeState.ERROR}, {LifeState.CANCELED}):
            state = states.pop()
        failed = [trial for trial in ended if trial.reason]
        reason = f"trial {failed[0].id}: {failed[0].reason}" if failed else None
        changes = {"state": state, "end_time": rfc3339_now(), "reason": reason}
        update(conn, "experiments", ("id", experiment.id), changes)
        self._db.after_commit(self._signals.tasks.notify)
        self.collect_checkpoints(conn, experiment.id)

    def collect_checkpoints(self, conn: sqlite3.Connection, experiment_id: ExperimentId) -> None:
        """Mark the checkpoints an ended experiment does not keep, and have their files removed."""
        experiment = _present(experiments.experiment(conn, experiment_id))
        for uuid in retention.mark_unwanted(conn, experiment):
            self._db.after_commit(functools.partial(self._signals.wake_chores, Chore.CHECKPOINT, uuid))

    def set_trial_state(self, conn: sqlite3.Connection, trial: Trial, state: LifeState) -> None:
        """Record what is wanted of a trial that has not ended; less severe wishes do not undo a stop."""
        if trial.state in TERMINAL or trial.state == state:
            return
        if trial.state in TERMINAL_OF and (state not in TERMINAL_OF or trial.state is LifeState.STOPPING_KILLED):
            return
        changes: dict[str, object] = {"state": state}
        if state is LifeState.ACTIVE:
            changes["queued_at"] = rfc3339_now()
        update(conn, "trials", ("id", trial.id), changes)
        self._wake_after_commit(trial.id)

    def open_allocation(self, trial_id: TrialId, slots: int) -> tuple[Trial, Allocation, Tokens] | None:
        """Give the trial a slot when one is free and nobody waits longer; start its next run. None: not now."""
        with self._db.transaction() as conn:
            free = slots - len(trials.open_allocations(conn))
            if trial_id not in trials.queued(conn)[: max(0, free)]:
                return None
            trial = _present(trials.trial(conn, trial_id))
            run_id = trial.run_id + 1
            resumed = checkpoints.latest(conn, trial_id)
            steps = 0 if resumed is None else resumed.steps_completed
            metrics.archive_beyond(conn, trial_id, run_id, steps)
            insert(conn, "allocations", _allocation_row(trial, run_id, steps))
            largest = metrics.largest_step(conn, trial_id)
            update(conn, "trials", ("id", trial_id), {"run_id": run_id, "total_batches": largest})
            allocation = _present(trials.open_allocation(conn, trial_id))
            experiment = _present(experiments.experiment(conn, trial.experiment_id))
            tokens = Tokens(
                task=new_session(conn, experiment.owner_id, allocation.id),
                user=new_session(conn, experiment.owner_id, allocation.id),
            )
            self._log(conn, allocation, f"Scheduling {_title(trial)} (id: {allocation.id})")
            if warning := pools.warning_for(experiment):
                self._log(conn, allocation, warning, LogLevel.WARNING)
            self._db.after_commit(self._signals.tasks.notify)
            return _present(trials.trial(conn, trial_id)), allocation, tokens

    def mark_running(self, trial: Trial, allocation: Allocation) -> None:
        """Record that the allocation's process has been started."""
        with self._db.transaction() as conn:
            changes = {"state": AllocationState.RUNNING, "started_at": rfc3339_now()}
            update(conn, "allocations", ("id", allocation.id), changes)
            self._log(conn, allocation, f"Resources for {_title(trial)} have started")
            self._db.after_commit(self._signals.tasks.notify)

    def preempt(self, trial: Trial, allocation: Allocation, reason: str) -> None:
        """Ask the harness to checkpoint and exit; after the experiment's preemption_timeout it is killed."""
        with self._db.transaction() as conn:
            experiment = _present(experiments.experiment(conn, trial.experiment_id))
            seconds = experiment.config["preemption_timeout"] or DEFAULT_PREEMPTION_SECONDS
            deadline = now() + datetime.timedelta(seconds=seconds)
            changes = {"preempt_reason": reason, "preempt_deadline": to_rfc3339(deadline)}
            update(conn, "allocations", ("id", allocation.id), changes)
            text = f"gracefully terminating allocation's remaining resources (reason: {reason})"
            self._log(conn, allocation, text)
            self._db.after_commit(self._signals.tasks.notify)

    def note_kill(self, allocation: Allocation, reason: str) -> None:
        """Record that the allocation is being killed, once."""
        with self._db.transaction() as conn:
            if _present(trials.allocation(conn, allocation.id)).kill_reason is None:
                update(conn, "allocations", ("id", allocation.id), {"kill_reason": reason})
                self._log(conn, allocation, f"forcibly killing allocation's remaining resources (reason: {reason})")

    def close_allocation(self, allocation_id: AllocationId, exit_: Exit) -> None:
        """Take back the slot and decide what becomes of the trial; a second call does nothing."""
        with self._db.transaction() as conn:
            allocation = _present(trials.allocation(conn, allocation_id))
            trial = _present(trials.trial(conn, allocation.trial_id))
            if allocation.ended_at is not None:
                return
            text, level = _exit_text(allocation, exit_)
            changes = {
                "state": AllocationState.TERMINATED,
                "ended_at": rfc3339_now(),
                "exit_code": exit_.code,
                "exit_reason": text,
            }
            update(conn, "allocations", ("id", allocation.id), changes)
            end_allocation_sessions(conn, allocation.id)
            self._log(conn, allocation, text, level)
            self._log(conn, allocation, f"{_title(trial)} was terminated: {_ending(allocation, exit_)} {text}", level)
            self._after_exit(conn, trial, allocation, exit_)
            self._wake_after_commit(trial.id)
            for queued in trials.queued(conn):
                self._wake_after_commit(queued)

    def _after_exit(self, conn: sqlite3.Connection, trial: Trial, allocation: Allocation, exit_: Exit) -> None:
        failed = exit_.code != 0 and not exit_.lost and allocation.kill_reason is None
        if trial.state in TERMINAL_OF:
            canceled_in_failure = trial.state is LifeState.STOPPING_CANCELED and failed
            state = LifeState.ERROR if canceled_in_failure else TERMINAL_OF[trial.state]
            self.finish_trial(conn, trial, state, _why(conn, allocation, exit_) if failed else None)
        elif trial.early_exit is not None:
            reason = f"invalid hyperparameters: {_last_line(conn, allocation)}"
            self.finish_trial(conn, trial, LifeState.COMPLETED, reason)
        elif failed:
            self._count_failure(conn, trial, allocation, exit_)
        elif exit_.code == 0 and not allocation.preempt_acked:
            self.finish_trial(conn, trial, LifeState.COMPLETED, None)
        else:
            update(conn, "trials", ("id", trial.id), {"queued_at": rfc3339_now(), "runner_state": ""})

    def _count_failure(self, conn: sqlite3.Connection, trial: Trial, allocation: Allocation, exit_: Exit) -> None:
        experiment = _present(experiments.experiment(conn, trial.experiment_id))
        restarts, allowed = trial.restarts + 1, experiment.config["max_restarts"]
        update(conn, "trials", ("id", trial.id), {"restarts": restarts})
        if exit_.fatal or restarts > allowed:
            self.finish_trial(conn, trial, LifeState.ERROR, _why(conn, allocation, exit_))
            return
        self._log(conn, allocation, f"trial failed (restart {restarts}/{allowed})", LogLevel.WARNING)
        update(conn, "trials", ("id", trial.id), {"queued_at": rfc3339_now(), "runner_state": ""})

    def finish_trial(self, conn: sqlite3.Connection, trial: Trial, state: LifeState, reason: str | None) -> None:
        """Put a trial into a terminal state and let its experiment go on or end."""
        changes: dict[str, object] = {
            "state": state,
            "end_time": rfc3339_now(),
            "runner_state": "",
            "reason": reason,
        }
        if state is LifeState.COMPLETED:
            changes["progress"] = 1.0
        update(conn, "trials", ("id", trial.id), changes)
        self.advance_experiment(conn, trial.experiment_id)
        self._db.after_commit(self._signals.tasks.notify)
        self._db.after_commit(self._signals.logs.notify)

    def stop_without_allocation(self, trial_id: TrialId) -> None:
        """End a trial that was asked to stop and holds nothing."""
        with self._db.transaction() as conn:
            trial = _present(trials.trial(conn, trial_id))
            if trial.state in TERMINAL_OF and trials.open_allocation(conn, trial_id) is None:
                self.finish_trial(conn, trial, TERMINAL_OF[trial.state], None)

    def _log(
        self, conn: sqlite3.Connection, allocation: Allocation, text: str, level: LogLevel = LogLevel.INFO
    ) -> None:
        logs.append(conn, [master_line(allocation, text, level)])
        self._db.after_commit(self._signals.logs.notify)

    def _wake_after_commit(self, trial_id: TrialId) -> None:
        self._db.after_commit(lambda: self._signals.wake_trial(trial_id))
        self._db.after_commit(self._signals.tasks.notify)


def _allocation_row(trial: Trial, run_id: int, steps: int) -> dict[str, object]:
    return {
        "id": f"{trial.task_id}.{run_id}",
        "trial_id": trial.id,
        "task_id": trial.task_id,
        "run_id": run_id,
        "container_id": new_uuid(),
        "state": AllocationState.STARTING,
        "resumed_at": steps,
        "registered_at": rfc3339_now(),
    }


def _title(trial: Trial) -> str:
    return f"Trial {trial.id} (Experiment {trial.experiment_id})"


def _exit_text(allocation: Allocation, exit_: Exit) -> tuple[str, LogLevel]:
    """Return what the original says about an exit, and the level it says it with."""
    if exit_.lost:
        return exit_.detail or "the master went down while the allocation was running", LogLevel.WARNING
    if exit_.code == 0:
        return "resources exited successfully with a zero exit code", LogLevel.INFO
    if allocation.kill_reason is not None:
        return "resources were killed", LogLevel.INFO
    if exit_.code is None:
        return f"task failed without an associated exit code: {exit_.detail}", LogLevel.ERROR
    code = exit_code(exit_.code)
    detail = exit_.detail or f"container failed with non-zero exit code: {code}"
    return f"resources failed with non-zero exit code: {detail} (exit code {code})", LogLevel.ERROR


def _ending(allocation: Allocation, exit_: Exit) -> str:
    if allocation.kill_reason is not None:
        return "allocation killed after"
    if exit_.lost or allocation.preempt_acked:
        return "allocation preempted after"
    return "allocation stopped after" if exit_.code == 0 else "allocation failed:"


def exit_code(status: int) -> int:
    """Return the exit code a container would show: 128 + signal for a process ended by a signal."""
    return 128 - status if status < 0 else status


def _why(conn: sqlite3.Connection, allocation: Allocation, exit_: Exit) -> str:
    last = _last_line(conn, allocation)
    if exit_.code is None or exit_.detail:
        return exit_.detail or last
    code = f"exit code {exit_code(exit_.code)}"
    return f"{code}: {last}" if last else code


def _last_line(conn: sqlite3.Connection, allocation: Allocation) -> str:
    """Return the line that says why: the last one that reads like `SomeError: ...`, else the last one with text."""
    lines = [line.strip() for line in logs.tail(conn, allocation.id, allocation.trial_id, TAIL_LINES) if line.strip()]
    for line in reversed(lines):
        head = line.split(":")[0]
        if head.replace(".", "").isidentifier() and head.split(".")[-1].endswith(("Error", "Exception", "HP", "Exit")):
            return line[:500]
    return lines[-1][:500] if lines else ""


def _present(value: T | None) -> T:
    if value is None:
        raise LookupError("a row that other rows refer to is gone")
    return value
