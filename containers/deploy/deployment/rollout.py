"""The `rollout` command: the InferenceService takes the built model, and the new revision is seen to answer.

Every step can be repeated: a job that died between writing and waiting finds its own write and goes on waiting. The
API and the data plane may be away for a while at any point (they restart); only the deadline ends the trying. A rollout
that fails while waiting puts back what it replaced.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deployment import isvc, probe, readiness, rollback, storage
from deployment.cluster import CONTAINERS, PYTHON, Cluster, Conflicting, Unreachable
from deployment.errors import ClusterError, InputError, RolloutError, Superseded
from deployment.modelinfo import Build, TrainedModel, read_built
from deployment.staging import least_python

ROLLOUT_FILE = "rollout.yaml"
PROBE_FILE = "probe.json"
PROBE_SECONDS = 10.0
# After this long a failure in the status that reads like the one before the write is taken for a new one.
SETTLE_SECONDS = 20.0
LOG_LINES = 50
# How long to try to put back what was there before a failed rollout.
PUT_BACK_SECONDS = 30.0


@dataclass(frozen=True)
class RolloutOptions:
    """What the command line and the job's environment say. `input_commit` is the commit `source` was read from."""

    source: Path
    input_commit: str
    deployment_name: str
    namespace: str
    job: str
    config_file: str | None = None
    ingress: str | None = None
    service_account: str | None = None
    tolerations: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    runtime: str | None = None
    timeout: float = 600.0
    wait: bool = True
    force: bool = False


@dataclass(frozen=True)
class Clock:
    """Time in seconds, and a way to let it pass."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Rollout:
    """One rollout of one built model."""

    def __init__(self, options: RolloutOptions, say: Callable[[str], None], clock: Clock | None = None) -> None:
        self._options = options
        self._say = say
        self._clock = clock or Clock()
        self._started = self._clock.now()
        self._deadline = self._started + options.timeout
        self._said = ""

    def run(self) -> dict[str, Any]:
        """Roll out; gives the document for rollout.yaml. Raises `DeployError`."""
        model, build = read_built(self._options.source)
        example = probe.read_example(self._options.source / PROBE_FILE)
        desired = self._desired(model, build)
        if build.served_name != desired.name:
            raise InputError(
                f"the archive serves model {build.served_name!r}, the InferenceService is called {desired.name!r}: "
                "V1 clients address the model by the service's name, so give both commands the same --deployment-name"
            )
        cluster = Cluster(self._options.config_file, desired.namespace)
        before = self._apply(cluster, desired, build.requires_python)
        ready = readiness.Ready(None, None)
        if self._options.wait:
            try:
                ready = self._wait(cluster, desired, before, example)
            except Superseded:
                raise
            except RolloutError as error:
                evidence = [*self._evidence(cluster, desired.name)]  # before it is gone with the revision
                self._put_back(cluster, desired)
                raise RolloutError("\n".join([*evidence, str(error)])) from error
        return self._document(model, build, desired, ready)

    def _desired(self, model: TrainedModel, build: Build) -> isvc.Desired:
        options = self._options
        uri = build.uri or storage.commit_uri(options.input_commit, build.pipeline, build.project, build.served_name)
        return isvc.Desired(
            name=options.deployment_name,
            namespace=options.namespace,
            storage_uri=uri,
            job=options.job,
            model_version=model.version,
            data_commit=model.data_commit,
            code_commit=model.code_commit,
            build_commit=options.input_commit,
            envelope=build.envelope,
            runtime=options.runtime,
            service_account=None if build.uri else options.service_account,
            tolerations=options.tolerations,
            requests=options.requests,
            limits=options.limits,
        )

    def _apply(self, cluster: Cluster, desired: isvc.Desired, requires_python: str) -> readiness.Baseline:
        """Create or replace the InferenceService; gives what its status said before."""
        self._say(f"InferenceService {desired.namespace}/{desired.name} <- {desired.storage_uri}")
        while True:
            try:
                if desired.runtime:
                    _demand_python(cluster, desired.runtime, requires_python)
                return self._apply_once(cluster, desired)
            except (Conflicting, Unreachable) as error:
                if self._clock.now() >= self._deadline:
                    raise RolloutError(f"gave up after {self._options.timeout:.0f} s: {error}") from error
                self._tell(f"trying again: {error}")
                self._clock.sleep(1.0)

    def _apply_once(self, cluster: Cluster, desired: isvc.Desired) -> readiness.Baseline:
        live = cluster.get(desired.name)
        if live is None:
            cluster.create(isvc.build(desired, None, rollback.record(None, desired.job)))
            self._say("created")
            return readiness.baseline(None, written=True)
        if isvc.carries(live, desired):
            self._say("this job has written it already; waiting for it")
            return readiness.baseline(live, written=False)
        self._demand_newer(live, desired)
        previous = rollback.record(live, desired.job)
        cluster.replace(isvc.build(desired, live["metadata"]["resourceVersion"], previous))
        self._say("replaced")
        return readiness.baseline(live, written=True)

    def _demand_newer(self, live: Mapping[str, Any], desired: isvc.Desired) -> None:
        """Refuse to go back: a rollout of an older version that finishes late must not undo a newer one."""
        if self._options.force:
            return
        version = isvc.live_version(live)
        if version is not None and version > desired.model_version:
            raise Superseded(
                f"model version {desired.model_version} was not rolled out: version {version} is live in "
                f"{desired.namespace}/{desired.name}. To go back to version {desired.model_version}, use --force"
            )

    def _put_back(self, cluster: Cluster, desired: isvc.Desired) -> None:
        """Take the build that failed out of the spec, or say why that could not be done."""
        until = self._clock.now() + PUT_BACK_SECONDS
        while True:
            try:
                self._say(rollback.put_back(cluster, desired.name, desired.job))
                return
            except (Conflicting, Unreachable) as error:
                if self._clock.now() >= until:
                    self._say(f"nothing put back, the spec still names the build that failed: {error}")
                    return
                self._tell(f"trying again to put back what was there before: {error}")
                self._clock.sleep(1.0)
            except ClusterError as error:
                self._say(f"nothing put back, the spec still names the build that failed: {error}")
                return

    def _wait(
        self, cluster: Cluster, desired: isvc.Desired, before: readiness.Baseline, example: probe.Example
    ) -> readiness.Ready:
        """Wait until the new revision answers the example. Raises `RolloutError` at the first sign it never will."""
        written = self._clock.now()
        while True:
            settled = self._clock.now() - written > SETTLE_SECONDS
            verdict = self._look(cluster, desired, before, settled=settled)
            if isinstance(verdict, readiness.Failed):
                raise RolloutError(f"model version {desired.model_version} does not serve: {verdict.reason}")
            if isinstance(verdict, readiness.Ready):
                verdict = self._ask(cluster, desired, verdict, example)
            if isinstance(verdict, readiness.Ready):
                self._say(f"revision {verdict.revision} answers at {verdict.url}")
                return verdict
            self._tell(verdict.reason)
            if self._clock.now() >= self._deadline:
                raise RolloutError(
                    f"model version {desired.model_version} does not serve after {self._options.timeout:.0f} s: "
                    f"{verdict.reason}. The version before it, if any, goes on serving"
                )
            self._clock.sleep(0.2 if self._clock.now() - written < 30 else 1.0)

    def _look(
        self, cluster: Cluster, desired: isvc.Desired, before: readiness.Baseline, *, settled: bool
    ) -> readiness.Pending | readiness.Failed | readiness.Ready:
        try:
            live = cluster.get(desired.name)
        except Unreachable as error:
            return readiness.Pending(str(error))
        if live is None:
            return readiness.Failed("the InferenceService was deleted while waiting for it")
        job = (live["metadata"].get("annotations") or {}).get(isvc.JOB)
        if job != desired.job:
            raise Superseded(
                f"job {job} replaced the InferenceService while model version {desired.model_version} loaded"
            )
        return readiness.judge(live, before, settled=settled)

    def _ask(
        self, cluster: Cluster, desired: isvc.Desired, ready: readiness.Ready, example: probe.Example
    ) -> readiness.Ready | readiness.Pending:
        """Ask each address that may lead to the service, until one answers from the new revision.

        Without an example there is nothing to ask, and the control plane's word is taken.
        """
        if example.request is None:
            return ready
        reasons = []
        for endpoint, host in self._endpoints(cluster, ready):
            try:
                revision = probe.ask(endpoint, host, desired.name, example, PROBE_SECONDS)
            except probe.NotAnswering as error:
                reasons.append(str(error))
                continue
            except probe.WrongAnswer as error:
                raise RolloutError(str(error)) from error
            if revision is None or ready.revision in (None, revision):
                return ready
            reasons.append(f"revision {revision} still answers at {endpoint}")
        return readiness.Pending("; ".join(reasons) or "the InferenceService has no address yet")

    def _endpoints(self, cluster: Cluster, ready: readiness.Ready) -> Iterator[tuple[str, str]]:
        """Give (address, Host header): the ingress named by option or found, else the service's own addresses."""
        ingress = self._options.ingress
        if not ingress:
            try:
                ingress = cluster.ingress()
            except ClusterError as error:
                self._tell(str(error))
        if ingress and ready.url:
            yield ingress, urlsplit(ready.url).netloc
        if not self._options.ingress:
            yield from ((url, urlsplit(url).netloc) for url in (ready.internal_url, ready.url) if url)

    def _evidence(self, cluster: Cluster, name: str) -> Iterator[str]:
        """Give what the cluster knows about the failure: conditions, events, last log lines of the youngest pod."""
        yield from _section("conditions", lambda: readiness.conditions(cluster.get(name) or {}))
        yield from _section("events", lambda: cluster.events(name))
        for container in CONTAINERS:
            yield from _section(f"log of {container}", partial(_log, cluster, name, container))

    def _document(
        self, model: TrainedModel, build: Build, desired: isvc.Desired, ready: readiness.Ready
    ) -> dict[str, Any]:
        return {
            "name": desired.name,
            "namespace": desired.namespace,
            "ready": self._options.wait,
            "revision": ready.revision,
            "url": ready.url,
            "model": model.name,
            "model_version": model.version,
            "version_name": model.version_name,
            "data_commit": model.data_commit,
            "code_commit": model.code_commit,
            "experiment_id": model.document.get("experiment_id"),
            "checkpoint": model.document.get("checkpoint"),
            "build_job": build.job,
            "build_commit": desired.build_commit,
            "job": desired.job,
            "storage_uri": desired.storage_uri,
            "archive_sha256": build.archive_sha256,
            "seconds": round(self._clock.now() - self._started, 2),
        }

    def _tell(self, text: str) -> None:
        """Say what is being waited for, once for as long as it stays the same."""
        if text != self._said:
            self._said = text
            self._say(text)


def _demand_python(cluster: Cluster, runtime: str, requires_python: str) -> None:
    """Refuse a runtime whose Python is too old for the archive, where the runtime says which it has."""
    found = cluster.runtime_python(runtime)
    needed, has = least_python(requires_python), least_python(f">={found}")
    if needed and has and has < needed:
        raise InputError(
            f"the archive needs Python {requires_python}, serving runtime {runtime} has {found} (by its annotation "
            f"{PYTHON}): name another with --runtime, or build with that Python"
        )


def _log(cluster: Cluster, name: str, container: str) -> list[str]:
    pod = cluster.newest_pod(name)
    return [f"pod {pod}", *cluster.log(pod, container, LOG_LINES).splitlines()] if pod else []


def _section(title: str, gather: Callable[[], list[str]]) -> Iterator[str]:
    try:
        lines = gather()
    except ClusterError as error:
        lines = [str(error)]
    yield f"{title}:"
    yield from (f"  {line}" for line in lines or ["(none)"])
