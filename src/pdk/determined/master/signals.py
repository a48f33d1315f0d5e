"""Wake-up calls inside the master; they carry no data and may be lost, only rows are true.

`pdk.determined.master.master` connects them to the work loops; long polls in the API wait on `tasks` and `logs`.
"""

from collections.abc import Callable
from enum import StrEnum

from pdk.reconcile.changes import Changes


def _nobody(*key: object) -> None:
    """Stand in until a work loop is connected."""


class Chore(StrEnum):
    """What is removed in the background: the files of a checkpoint (by uuid), an experiment (by id)."""

    CHECKPOINT = "checkpoint"
    EXPERIMENT = "experiment"


class Signals:
    """Who to wake: `tasks` when an allocation or a trial's state changed, `logs` when lines were stored."""

    def __init__(self) -> None:
        self.tasks = Changes()
        self.logs = Changes()
        self.wake_trial: Callable[[int], None] = _nobody
        self.wake_chores: Callable[[Chore, object], None] = _nobody

    def close(self) -> None:
        """Wake every waiter for good: the server stops."""
        self.tasks.close()
        self.logs.close()
