"""The routing table: which revision answers for which host.

Written by the controller, read by the ingress, from different threads. An entry is replaced as a whole, so a request
sees either the old revisions or the new ones. `acquire` counts the request in under the same lock, so once the
controller has set a route without a revision, `in_flight` of that revision can only fall: nothing is lost in a switch.
"""

import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pdk.web.hosts import host_name


@dataclass(frozen=True)
class Backend:
    """One running TorchServe that has answered a probe; time-outs in seconds.

    `headers` go with every answer; `max_in_flight` (`containerConcurrency`) 0 is no limit but TorchServe's queue; `log`
    is the file of the pod's log.
    """

    revision: str
    port: int
    models: tuple[str, ...]
    headers: tuple[tuple[str, str], ...] = ()
    max_request_bytes: int = 6_553_500
    response_timeout: float = 120.0
    host: str = "127.0.0.1"
    max_in_flight: int = 0
    log: Path | None = None


@dataclass(frozen=True)
class ServiceRoute:
    """An InferenceService: `targets` are (backend, percent), empty when none is ready.

    Percents that add up to less than 100 leave the rest without a revision: the stable one of a canary is not ready.
    `hosts` are lower case, without port, that of `status.url` first; `models` may be asked for even while no revision
    is ready (then 503, not 404); `reason`, told to clients, is why there is no revision for a request.
    """

    namespace: str
    name: str
    hosts: tuple[str, ...]
    targets: tuple[tuple[Backend, int], ...] = ()
    models: tuple[str, ...] = ()
    reason: str = "no revision is ready"

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Busy:
    """Every slot of the revision is taken (`containerConcurrency`)."""

    revision: str


class ServiceRoutes:
    """The table; every method is safe from any thread and never blocks for long."""

    def __init__(self, choose: Callable[[], float] = random.random) -> None:
        """`choose` gives a number in [0, 1) and picks between the targets of a canary."""
        self._lock = threading.Lock()
        self._choose = choose
        self._routes: dict[str, ServiceRoute] = {}
        self._hosts: dict[str, str] = {}
        self._in_flight: dict[Backend, int] = {}
        # Set by the controller; told `namespace/name` when a revision refuses connections, as one that ended does.
        self.report_unreachable: Callable[[str], object] = lambda _key: None

    def set(self, route: ServiceRoute) -> None:
        """Put `route` in place of what was there for the same InferenceService."""
        with self._lock:
            self._drop(route.key)
            self._routes[route.key] = route
            for host in route.hosts:
                self._hosts.setdefault(host, route.key)

    def remove(self, key: str) -> None:
        """Forget an InferenceService; requests already counted in go on."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: str) -> None:
        old = self._routes.pop(key, None)
        if old is None:
            return
        for host in old.hosts:
            if self._hosts.get(host) == key:
                del self._hosts[host]

    def by_host(self, host: str) -> ServiceRoute | None:
        """Return the route of a Host header, port or none, any case."""
        name = host_name(host)
        with self._lock:
            key = self._hosts.get(name)
            return self._routes.get(key) if key is not None else None

    def get(self, key: str) -> ServiceRoute | None:
        """Return the route of `namespace/name`."""
        with self._lock:
            return self._routes.get(key)

    def known_hosts(self) -> list[str]:
        """Return the first host of each InferenceService, sorted; for the text of a 404."""
        with self._lock:
            return sorted(route.hosts[0] for route in self._routes.values() if route.hosts)

    def acquire(self, key: str) -> Backend | Busy | ServiceRoute | None:
        """Return a backend and count a request in; `release` must follow.

        Without one: Busy when the revision is full, the ServiceRoute when it has no revision for this request, None
        when it is gone.
        """
        with self._lock:
            route = self._routes.get(key)
            if route is None or not route.targets:
                return route
            backend = self._pick(route.targets)
            if backend is None:
                return route
            count = self._in_flight.get(backend, 0)
            if backend.max_in_flight and count >= backend.max_in_flight:
                return Busy(backend.revision)
            self._in_flight[backend] = count + 1
            return backend

    def _pick(self, targets: Iterable[tuple[Backend, int]]) -> Backend | None:
        point = int(self._choose() * 100)
        for backend, percent in targets:
            if point < percent:
                return backend
            point -= percent
        return None

    def release(self, backend: Backend) -> None:
        """Count a request out."""
        with self._lock:
            count = self._in_flight[backend] - 1
            if count:
                self._in_flight[backend] = count
            else:
                del self._in_flight[backend]

    def in_flight(self, revision: str, port: int) -> int:
        """Return how many requests the TorchServe of `revision` on `port` has still to answer."""
        with self._lock:
            return sum(n for b, n in self._in_flight.items() if (b.revision, b.port) == (revision, port))
