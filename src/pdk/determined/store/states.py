"""The original's words for states and kinds, as rows have them; the wire puts `STATE_` or `LOG_LEVEL_` before."""

from enum import StrEnum


class LifeState(StrEnum):
    """State of an experiment or a trial; rows never hold the last four, with which answers refine ACTIVE."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    STOPPING_COMPLETED = "STOPPING_COMPLETED"
    STOPPING_CANCELED = "STOPPING_CANCELED"
    STOPPING_KILLED = "STOPPING_KILLED"
    STOPPING_ERROR = "STOPPING_ERROR"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"
    ERROR = "ERROR"
    DELETING = "DELETING"
    DELETED = "DELETED"
    QUEUED = "QUEUED"
    PULLING = "PULLING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"


TERMINAL = (LifeState.COMPLETED, LifeState.CANCELED, LifeState.ERROR, LifeState.DELETED)
# What a stop that was asked for ends in.
TERMINAL_OF = {
    LifeState.STOPPING_COMPLETED: LifeState.COMPLETED,
    LifeState.STOPPING_CANCELED: LifeState.CANCELED,
    LifeState.STOPPING_KILLED: LifeState.CANCELED,
    LifeState.STOPPING_ERROR: LifeState.ERROR,
}


class AllocationState(StrEnum):
    """State of a trial's hold on a slot."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    TERMINATED = "TERMINATED"


class CheckpointState(StrEnum):
    """State of a checkpoint; PARTIALLY_DELETED: some of its files were removed."""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    DELETED = "DELETED"
    PARTIALLY_DELETED = "PARTIALLY_DELETED"


# The checkpoints that have files.
WITH_FILES = (CheckpointState.COMPLETED, CheckpointState.PARTIALLY_DELETED)


class InvalidHp(StrEnum):
    """Why a harness says it will exit early: the trial's hyperparameters are invalid."""

    TRAINING = "EXITED_REASON_INVALID_HP"
    STARTING = "EXITED_REASON_INIT_INVALID_HP"


class MetricGroup(StrEnum):
    """The two groups the master itself knows; a harness may report any other."""

    TRAINING = "training"
    VALIDATION = "validation"


class WorkloadKind(StrEnum):
    """What a row of a trial's history is; of one step, they happened in this order."""

    TRAINING = "training"
    VALIDATION = "validation"
    CHECKPOINT = "checkpoint"


class LogLevel(StrEnum):
    """Severity of a log line."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogSource(StrEnum):
    """Who wrote a line of a task's log; lines sent over the API name any source."""

    MASTER = "master"
    TASK = "task"
