"""Runs the storage initializer of a revision as a child process, and says what came of it.

Called by `lifecycle`, which decides what follows. The child's output is the log of the pod's `storage-initializer`.
"""

import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from pdk.kserve.predictor.credentials import resolve_s3
from pdk.kserve.predictor.model_spec import ModelSpec
from pdk.kserve.predictor.revisions import Revision
from pdk.kserve.predictor.settings import PredictorSettings
from pdk.kserve.predictor.storage_initializer import COMPLETE, NOTHING_YET, UNREACHABLE, Order
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import PodLogs
from pdk.process import tree
from pdk.process.child import Child, ChildSpec, Launcher

INITIALIZER = "storage-initializer"
KEPT_LINES = 5


@dataclass(frozen=True)
class Outcome:
    """How a fetch ended: `complete`, or `cause`, which may pass by itself (`again`) or not."""

    status: int
    cause: str

    @property
    def complete(self) -> bool:
        """The model folder is there."""
        return self.status == COMPLETE

    @property
    def again(self) -> bool:
        """Nothing is wrong with the model: its storage is empty as yet, or does not answer."""
        return self.status in (NOTHING_YET, UNREACHABLE)


@dataclass
class _Fetch:
    child: Child
    output: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))


class Fetcher:
    """The fetches under way, by revision."""

    def __init__(self, store: ObjectStore, logs: PodLogs, settings: PredictorSettings, launcher: Launcher) -> None:
        self._store = store
        self._logs = logs
        self._settings = settings
        self._launcher = launcher
        self._lock = threading.Lock()
        self._fetches: dict[str, _Fetch] = {}

    def start(self, revision: Revision, spec: ModelSpec, target: Path) -> None:
        """Start fetching into `target`; raise ModelLoadFailed for credentials that are missing, OSError."""
        marker = self.marker(revision)
        order = Order(
            uri=spec.storage_uri,
            target=str(target),
            access=resolve_s3(
                self._store, revision.namespace, spec.service_account, revision.annotations, self._settings.s3
            ),
            max_bytes=self._settings.limits.max_model_bytes,
            max_files=self._settings.limits.max_model_files,
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        child = ChildSpec(
            marker=marker,
            argv=[sys.executable, "-m", "pdk.kserve.predictor.storage_initializer"],
            env=dict(self._settings.environment),
            cwd=target.parent,
            stdin=order.to_json(),
        )
        tree.kill_marked(lambda other: other == marker)
        if revision.fetch_restarts:
            self._logs.rotate(revision.namespace, revision.pod, INITIALIZER)
        output: deque[str] = deque(maxlen=KEPT_LINES)

        def on_line(_stream: str, line: str) -> None:
            output.append(line)
            self._logs.append(revision.namespace, revision.pod, INITIALIZER, line)

        fetch = _Fetch(self._launcher.start(child, on_line), output)
        with self._lock:
            self._fetches[revision.key] = fetch

    def marker(self, revision: Revision) -> str:
        """Return what marks the child of this revision."""
        return f"{self._settings.marker_prefix}{revision.key}/fetch"

    def is_known(self, revision: Revision) -> bool:
        """Tell whether this server started a fetch for the revision; a killed one's was ended with it."""
        return revision.key in self._fetches

    def poll(self, revision: Revision) -> Outcome | None:
        """Return how the fetch ended, once; None while it runs."""
        fetch = self._fetches[revision.key]
        if fetch.child.poll() is None:
            return None
        status = self.end(revision)
        last = fetch.output[-1] if fetch.output else "it wrote nothing"
        return Outcome(status, last.removeprefix("ERROR: "))

    def end(self, revision: Revision) -> int:
        """End a fetch, if there is one, and forget it; return its exit status."""
        with self._lock:
            fetch = self._fetches.pop(revision.key, None)
        if fetch is None:
            return 0
        if fetch.child.poll() is None:
            fetch.child.kill()
        return fetch.child.wait(5.0) or 0
