"""Runs the storage initializer of a revision as a child process, and says what came of it.

Used by `running`, which decides what follows. The child's output is the log of the pod's `storage-initializer`.
"""

import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pdk.kserve.predictor.credentials import resolve_s3
from pdk.kserve.predictor.model_spec import ModelSpec
from pdk.kserve.predictor.node import INITIALIZER, Node
from pdk.kserve.predictor.revisions import Revision
from pdk.kserve.predictor.storage_initializer import FetchOrder
from pdk.process import tree
from pdk.process.child import Child, ChildSpec

# Of the output; the last one is the cause of a failure.
KEPT_LINES = 5


class FetchOutcome(NamedTuple):
    """How a fetch ended: a FetchStatus, or -9 when it was killed, and the cause when it is not COMPLETE."""

    status: int
    cause: str


@dataclass(frozen=True)
class Fetch:
    """A storage initializer at work."""

    child: Child
    output: deque[str]

    def poll(self) -> FetchOutcome | None:
        """Return how the fetch ended, None while it runs."""
        if self.child.poll() is None:
            return None
        last = self.output[-1] if self.output else "it wrote nothing"
        return FetchOutcome(self.end(), last.removeprefix("ERROR: "))

    def end(self) -> int:
        """End the fetch, however far it is; return its exit status."""
        if self.child.poll() is None:
            self.child.kill()
        return self.child.wait(5.0) or 0


def start_fetch(node: Node, revision: Revision, spec: ModelSpec, target: Path) -> Fetch:
    """Start fetching into `target`; raise ModelLoadFailed for credentials that are missing, OSError."""
    marker, settings = node.marker(revision, "fetch"), node.settings
    order = FetchOrder(
        uri=spec.storage_uri,
        target=str(target),
        access=resolve_s3(node.store, revision.namespace, spec.service_account, revision.annotations, settings.s3),
        max_bytes=settings.limits.max_model_bytes,
        max_files=settings.limits.max_model_files,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    tree.kill_marked(lambda other: other == marker)
    if revision.fetch_restarts:
        node.logs.rotate(revision.namespace, revision.pod, INITIALIZER)
    output: deque[str] = deque(maxlen=KEPT_LINES)

    def on_line(_stream: str, line: str) -> None:
        output.append(line)
        node.logs.append(revision.namespace, revision.pod, INITIALIZER, line)

    child = ChildSpec(
        marker=marker,
        argv=[sys.executable, "-m", "pdk.kserve.predictor.storage_initializer"],
        env=dict(settings.environment),
        cwd=target.parent,
        stdin=order.to_json(),
    )
    return Fetch(node.launcher.start(child, on_line), output)
