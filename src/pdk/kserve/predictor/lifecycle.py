"""The revisions of this server, each one object while there is one: found, taken over, stopped, forgotten.

After a `kill -9` of the server the rows tell which processes to take over (`adopt`), and everything else that bears
this server's marker is ended.
"""

import logging
import shutil
import threading
import time

from pdk.kserve.predictor.node import Node
from pdk.kserve.predictor.revisions import Revision, RevisionState
from pdk.kserve.predictor.running import STARTED, RunningRevision
from pdk.process import tree

logger = logging.getLogger(__name__)


class Lifecycle:
    """Safe for several threads as long as each revision is one thread's at a time."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._running: dict[str, RunningRevision] = {}

    def of(self, revision: Revision) -> RunningRevision:
        """Return the object that runs a revision, the same one until it is forgotten."""
        with self._lock:
            if revision.key not in self._running:
                self._running[revision.key] = RunningRevision(self._node, revision)
            return self._running[revision.key]

    def forget(self, revision: Revision) -> None:
        """Delete what a STOPPED revision leaves: files, logs, row."""
        root = self._node.folders(revision).root
        if root.exists():
            shutil.rmtree(root)
        self._node.logs.remove(revision.namespace, revision.pod)
        self._node.revisions.delete(revision)
        with self._lock:
            self._running.pop(revision.key, None)

    def adopt(self) -> int:
        """Take over what an earlier server left running and end the rest that bears our marker; return how many live.

        A revision whose TorchServe has gone meanwhile is started again; that is no failure of the model.
        """
        running = [self.of(row) for row in self._node.revisions.all() if row.process is not None]
        alive = [each for each in running if each.server is not None and each.server.is_alive()]
        keep = {self._node.marker(each.row, "serve") for each in alive}
        prefix = self._node.settings.marker_prefix
        ended = tree.kill_marked(lambda marker: marker.startswith(prefix) and marker not in keep)
        for each in running:
            if each not in alive and each.row.state in STARTED:
                each.start_later(restarts=each.row.restarts + 1)
        logger.info("adopted %d TorchServe processes, ended %d left-over processes", len(alive), ended)
        return len(alive)

    def stop_all(self) -> None:
        """End every process of this server; the rows say that they are to be started again by the next one."""
        rows = [row for row in self._node.revisions.all() if row.state is not RevisionState.STOPPED]
        running = [self.of(row) for row in rows]
        servers = [each.server for each in running if each.server is not None]
        for server in servers:
            server.terminate()
        deadline = time.monotonic() + self._node.settings.limits.stop_grace
        while any(server.is_alive() for server in servers) and time.monotonic() < deadline:
            time.sleep(0.05)
        for each in running:
            each.end()
            if each.row.state in {*STARTED, RevisionState.FETCHING}:
                each.start_later(process=None)
