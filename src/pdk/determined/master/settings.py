"""What the master needs to know from outside; built by the composition root."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# The version of Determined this master speaks.
VERSION = "0.38.1"
# The one agent, which is this machine.
AGENT_ID = "pdk-agent"


@dataclass(frozen=True)
class MasterSettings:
    """Folders, capacity and the environment of trials.

    `max_concurrent_trials` is the number of slots; None = half of the cores, at least 1. `trial_env` is added to every
    trial's environment (the experiment's own environment_variables win). `checkpoint_dir` is the host_path of the
    default checkpoint storage, None = a folder below `data_dir`. `marker_prefix` must differ between data folders of
    one machine: processes that carry it are ended when the master starts. Times in seconds, sizes in bytes.
    """

    data_dir: Path
    marker_prefix: str
    python: str = sys.executable
    trial_env: Mapping[str, str] = field(default_factory=dict)
    max_concurrent_trials: int | None = None
    checkpoint_dir: Path | None = None
    cluster_name: str = "pdk"
    resource_pool: str = "default"
    stop_grace: float = 5.0
    invalid_hp_grace: float = 10.0
    max_trial_log_bytes: int = 256 * 1024 * 1024

    @property
    def slots(self) -> int:
        """How many trials run at once."""
        if self.max_concurrent_trials is not None:
            return max(1, self.max_concurrent_trials)
        return max(1, cores() // 2)

    @property
    def threads_per_trial(self) -> int:
        """OMP_NUM_THREADS of a trial: its share of the cores but one, which is left to what serves meanwhile.

        A thread more than there are free cores makes torch spin: 5 to 10 times slower.
        """
        return max(1, (cores() - 1) // self.slots)

    @property
    def checkpoint_folder(self) -> Path:
        """The host_path of the default checkpoint storage, absolute."""
        return (self.checkpoint_dir or self.data_dir / "checkpoints").absolute()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))
