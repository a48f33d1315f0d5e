"""The master's own log as clients read it (`det master logs`): the latest records of pdk's loggers, kept in memory."""

import datetime
import logging
import threading
from collections import deque
from dataclasses import dataclass

from pdk.base.clock import to_rfc3339

KEPT_RECORDS = 2000
LOGGER = "pdk"


@dataclass(frozen=True)
class MasterLogEntry:
    """One record; ids count from 1 in every process."""

    id: int
    timestamp: str
    level: str
    message: str


class MasterLog(logging.Handler):
    """Keeps the latest records while it is attached."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._entries: deque[MasterLogEntry] = deque(maxlen=KEPT_RECORDS)
        self._count = 0
        self._guard = threading.Lock()
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def attach(self) -> None:
        """Begin to keep records."""
        logging.getLogger(LOGGER).addHandler(self)

    def detach(self) -> None:
        """Keep no more records."""
        logging.getLogger(LOGGER).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        with self._guard:
            self._count += 1
            entry = MasterLogEntry(self._count, to_rfc3339(moment), record.levelname, self.format(record))
            self._entries.append(entry)

    def read(self, after_id: int) -> list[MasterLogEntry]:
        """Return the records after `after_id`, oldest first."""
        with self._guard:
            return [entry for entry in self._entries if entry.id > after_id]
