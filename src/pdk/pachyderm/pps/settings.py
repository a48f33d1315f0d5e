"""What the composition root tells pps of the machine it is on."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PpsSettings:
    """`data_dir` holds logs and scratch folders; `marker_prefix` differs between data folders (see `process.tree`).

    `path` is user code's PATH where its image's stand-in says no other; `threads` its OMP_NUM_THREADS;
    `max_parallel_datums` caps a spec's parallelism; `max_running_jobs` is the number of pipelines that may run at once.
    """

    data_dir: Path
    marker_prefix: str
    path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    threads: int = 1
    max_parallel_datums: int = 4
    max_running_jobs: int = 16

    @property
    def scratch_root(self) -> Path:
        """The folder below which each try of a datum has its own."""
        return self.data_dir / "scratch"


@dataclass(frozen=True)
class Address:
    """Where user code reaches this pachd."""

    host: str
    port: int
