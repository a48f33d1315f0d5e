"""From a fetched model folder to a TorchServe command: archives checked, config rewritten, folders made.

Called by `running` once per start. Everything written lies in the revision's own folder, apart from TorchServe's
temporary folder, whose path must stay short enough for Unix sockets.
"""

import contextlib
import dataclasses
import functools
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pdk.base.errors import FailedPrecondition
from pdk.kserve.predictor.archives import check_archive
from pdk.kserve.predictor.config_properties import Ports, ServingConfig, read_config, render_config
from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.java import find_java
from pdk.kserve.predictor.probes import Probe
from pdk.kserve.predictor.revisions import Process
from pdk.kserve.predictor.settings import PredictorSettings
from pdk.process.child import ChildSpec, Mount, namespaces_available

MOUNT_POINT = "/mnt/models"
LEAST_HEAP_MIB = 256
# Of 108 bytes for a socket path; TorchServe appends `/.ts.sock.9000`.
MAX_TEMP_PATH = 80

# Quiet but for the model's own output, which is what a pod's log is read for; each line begins with its time. The
# worker's own line for each request is left out: it would be most of the log.
LOG4J = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="error" shutdownHook="disable">
  <Appenders>
    <RollingFile name="pod" fileName="{log}" filePattern="{log}.%i" append="true">
      <RegexFilter regex="Backend received inference at.*" onMatch="DENY" onMismatch="NEUTRAL"/>
      <PatternLayout alwaysWriteExceptions="false" charset="UTF-8"
        pattern="%d{{yyyy-MM-dd'T'HH:mm:ss.SSS'000Z'}}{{UTC}} [%-5p] %t %c - \
%enc{{%m}}{{CRLF}}%notEmpty{{ %xEx{{separator( | )}}}}%n"/>
      <Policies><SizeBasedTriggeringPolicy size="16 MB"/></Policies>
      <DefaultRolloverStrategy fileIndex="min" max="1"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Logger name="ACCESS_LOG" level="warn"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="MODEL_LOG" level="info"/>
    <Logger name="io.netty" level="error"/>
    <Logger name="org.apache" level="off"/>
    <Logger name="org.pytorch.serve" level="warn"/>
    <Root level="warn"><AppenderRef ref="pod"/></Root>
  </Loggers>
</Configuration>
"""

# A handler's own variables may be set in the InferenceService; these would change the server itself.
PROTECTED = ("TS_", "PDK_", "LD_", "TEMP", "TMPDIR", "LOG_LOCATION", "METRICS_LOCATION", "JAVA")
ALLOWED_TS = frozenset({"TS_SERVICE_ENVELOPE"})


class Folders:
    """Where a revision lives: `models`, as fetched, is complete when it exists and never changes.

    `run` holds the config, the empty working folder and, when an archive has one, the `probe` of a TorchServe.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.models, self.run = root, root / "models", root / "run"
        self.probe = self.run / "probe.json"

    @property
    def store(self) -> Path:
        """TorchServe's model store."""
        inner = self.models / "model-store"
        return inner if inner.is_dir() else self.models


@dataclass(frozen=True)
class TorchServeLaunch:
    """A TorchServe ready to be started; `probes` by served model name, `notes` for the pod log."""

    config: ServingConfig
    probes: Mapping[str, Probe | None]
    ports: Ports
    temp: Path
    child: ChildSpec
    notes: tuple[str, ...]

    def process(self) -> Process:
        """Return what is remembered of it, before it is started."""
        return Process(
            marker=self.child.marker,
            temp=str(self.temp),
            ports=dataclasses.asdict(self.ports),
            models=tuple(self.probes),
            max_request_bytes=self.config.max_request_bytes,
            response_timeout=float(self.config.response_timeout),
            probe_model=next((model for model, probe in self.probes.items() if probe is not None), ""),
        )


@dataclass(frozen=True)
class LaunchRequest:
    """What to launch. `environment` is the container env of the InferenceService; `cpus` its CPU limit, whole cores."""

    marker: str
    folders: Folders
    log: Path
    environment: Mapping[str, str]
    cpus: int = 1


class LaunchBuilder:
    """Makes launches; finds Java and TorchServe at the first one."""

    def __init__(self, settings: PredictorSettings) -> None:
        self._settings = settings

    @functools.cached_property
    def java(self) -> Path:
        """The Java in use; raises FailedPrecondition when there is none new enough."""
        return self._settings.java or find_java(self._settings.environment)

    @functools.cached_property
    def torchserve_home(self) -> Path:
        """The folder that holds the `ts` package of the workers' Python."""
        return torchserve_home(self._settings.python)

    @functools.cached_property
    def no_mounts(self) -> str | None:
        """Why TorchServe does not see /mnt/models, None when it does."""
        return namespaces_available() if self._settings.mount_models else "mount_models is off"

    def prepare(self, request: LaunchRequest) -> TorchServeLaunch:
        """Check the model and write what TorchServe starts from; raise ModelLoadFailed saying what is wrong."""
        folders, run = request.folders, request.folders.run
        envelope = request.environment.get("TS_SERVICE_ENVELOPE", "kserve")
        names = sorted(path.name for path in folders.store.glob("*.mar") if path.is_file())
        config = read_config(folders.models / "config/config.properties", names, envelope)
        probes = {
            model.name: check_archive(folders.store / model.archive, self._settings.limits.max_archive_bytes)
            for model in config.models
        }
        if not probes:
            raise ModelLoadFailed("the model folder holds no .mar")
        ports, temp = free_ports(), self._make_temp(folders.root)
        (run / "empty").mkdir(parents=True, exist_ok=True)
        (run / "config.properties").write_text(render_config(config, ports, folders.store, envelope))
        probe = next((probe for probe in probes.values() if probe is not None), None)
        if probe is not None:
            folders.probe.write_text(json.dumps(probe.document()))
        (run / "log4j2.xml").write_text(LOG4J.format(log=request.log))
        child = ChildSpec(
            marker=request.marker,
            argv=self._command(folders, temp, config),
            env=self._environment(request, folders, temp, envelope),
            cwd=run / "empty",
            mounts=() if self.no_mounts else [Mount(folders.models, MOUNT_POINT, read_only=True)],
            log_path=run / "stdout.log",
        )
        dropped = tuple(f"env {name} is ignored: it would change the server" for name in _protected(request))
        missing = (f"{MOUNT_POINT} is not there: {self.no_mounts}",) if self.no_mounts else ()
        return TorchServeLaunch(config, probes, ports, temp, child, (*config.notes, *dropped, *missing))

    def _make_temp(self, folder: Path) -> Path:
        short = folder / "t"
        if len(str(short)) > MAX_TEMP_PATH:
            return Path(tempfile.mkdtemp(prefix="pdk-ts-", dir=self._settings.temp))
        short.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(dir=short, prefix=""))

    def _command(self, folders: Folders, temp: Path, config: ServingConfig) -> list[str]:
        home = self.torchserve_home
        return [
            str(self.java),
            f"-Dmodel_server_home={home}",
            f"-Dlog4j.configurationFile=file://{folders.run / 'log4j2.xml'}",
            f"-Djava.io.tmpdir={temp}",
            f"-Xmx{heap_mib(config)}m",
            *self._settings.jvm_flags,
            # Without the leading "." of the `torchserve` command: nothing in the working folder is loaded.
            "-cp",
            str(home / "ts/frontend/model-server.jar"),
            "org.pytorch.serve.ModelServer",
            "--python",
            str(self._settings.python),
            "-f",
            str(folders.run / "config.properties"),
            "-s",
            str(folders.store),
            "-ncs",
        ]

    def _environment(self, request: LaunchRequest, folders: Folders, temp: Path, envelope: str) -> dict[str, str]:
        protected = set(_protected(request))
        given = {name: value for name, value in request.environment.items() if name not in protected}
        return {
            **self._settings.environment,
            "HOME": str(folders.run / "empty"),
            "OMP_NUM_THREADS": str(request.cpus),
            "PYTHONUNBUFFERED": "1",
            "PROTOCOL_VERSION": "v1",
            **given,
            "TS_SERVICE_ENVELOPE": envelope,
            "TMPDIR": str(temp),
            "TEMP": str(temp),
            "LOG_LOCATION": str(folders.run),
            "METRICS_LOCATION": str(folders.run),
        }


def _protected(request: LaunchRequest) -> list[str]:
    return [name for name in request.environment if name.startswith(PROTECTED) and name not in ALLOWED_TS]


def heap_mib(config: ServingConfig) -> int:
    """Return the Java heap in MiB: room for eight of the largest requests, at least what an idle TorchServe needs."""
    largest = max(config.max_request_bytes, int(config.options.get("max_response_size", 0)))
    return max(LEAST_HEAP_MIB, 8 * largest >> 20)


def free_ports() -> Ports:
    """Return five loopback ports nobody listens on at this moment.

    A lost race shows as a failed start, and is retried.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(5)]
        return Ports(*(each.getsockname()[1] for each in sockets))


def torchserve_home(python: Path) -> Path:
    """Return the folder of site-packages with `ts` in it; raise FailedPrecondition when `python` has no TorchServe."""
    if python == Path(sys.executable):
        spec = find_spec("ts")
        origin = spec.origin if spec is not None else None
    else:
        code = "import importlib.util as u; s = u.find_spec('ts'); print(s.origin if s else '')"
        result = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        origin = result.stdout.strip()
    home = Path(origin).parent.parent if origin else None
    if home is None or not (home / "ts/frontend/model-server.jar").is_file():
        raise FailedPrecondition(f"{python} has no TorchServe: pip install torchserve there")
    return home
