"""What is to be done for an InferenceService: which revisions run, who gets traffic, who goes. Values in, values out.

The reconciler asks it once a pass, after a look at the revisions that are wanted, and carries the plan out; `status`
and `workloads` describe it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pdk.kserve.controller.deployment_mode import Addresses
from pdk.kserve.controller.desired import DesiredService
from pdk.kserve.predictor.revisions import RETIRED, Revision, RevisionState, ServiceRow

# What a revision is doing, told in messages.
STEPS = {
    RevisionState.PENDING: "is about to be loaded",
    RevisionState.FETCHING: "is fetching its model",
    RevisionState.STARTING: "is loading its model",
    RevisionState.READY: "is ready",
    RevisionState.FAILED: "failed",
    **dict.fromkeys(RETIRED, "is going"),
}

# (revision, percent) of those that get requests. Less than 100 in all leaves the rest without a revision.
Traffic = tuple[tuple[Revision, int], ...]


@dataclass(frozen=True)
class RolloutPlan:
    """`service` tells which revision is to be remembered as the one that has all the traffic.

    `latest` is the revision of the present spec, None when that is not served; `retired` are the numbers of those to
    take down once no request is on its way to them; `reason` is told to a client whose request has no revision.
    """

    desired: DesiredService
    addresses: Addresses
    service: ServiceRow
    latest: Revision | None
    revisions: tuple[Revision, ...]
    traffic: Traffic
    retired: frozenset[int]
    reason: str

    @property
    def serving_whole(self) -> bool:
        """Whether all of the traffic has a revision; not so while the stable revision beside a canary is down."""
        return sum(percent for _, percent in self.traffic) == 100

    @property
    def latest_ready(self) -> bool:
        """Whether the present spec answers."""
        return self.latest is not None and self.latest.state is RevisionState.READY

    @property
    def failing(self) -> bool:
        """Whether the present spec cannot be served, or its last attempt failed."""
        return self.desired.problem is not None or (self.latest is not None and self.latest.failure is not None)


def latest_of(desired: DesiredService, revisions: Iterable[Revision]) -> Revision | None:
    """Return the newest revision that is not on its way out, None when the spec is not served."""
    alive = [each for each in revisions if each.state not in RETIRED] if desired.serves else []
    return max(alive, key=lambda each: each.number, default=None)


def needs_revision(desired: DesiredService, revisions: Iterable[Revision]) -> bool:
    """Return whether the spec is to be served and the newest revision is not made from it."""
    latest = latest_of(desired, revisions)
    return desired.serves and (latest is None or latest.digest != desired.digest)


def wanted_numbers(desired: DesiredService, service: ServiceRow, revisions: Iterable[Revision]) -> set[int]:
    """Return the revisions that are to run: the latest, and the one that had all the traffic until it is superseded."""
    latest = latest_of(desired, revisions)
    numbers = {latest.number if latest is not None else None, None if desired.stopped else service.rolled_out}
    return {number for number in numbers if number is not None}


def make_plan(
    desired: DesiredService, addresses: Addresses, service: ServiceRow, revisions: Iterable[Revision]
) -> RolloutPlan:
    """Return what to do for an InferenceService whose revisions are as given, those that are wanted just looked at."""
    present = tuple(revisions)
    latest = latest_of(desired, present)
    stable = next((each for each in present if each.number == service.rolled_out), None)
    traffic = () if desired.stopped else _share(latest, stable, desired.canary)
    if latest is not None and traffic == ((latest, 100),) and service.rolled_out != latest.number:
        service = replace(service, rolled_out=latest.number, previous_rolled_out=service.rolled_out)
    keep = {each.number for each, _ in traffic} | wanted_numbers(desired, service, present)
    waits = latest is not None and latest.state is RevisionState.READY
    return RolloutPlan(
        desired=desired,
        addresses=addresses,
        service=service,
        latest=latest,
        revisions=present,
        traffic=traffic,
        retired=frozenset(each.number for each in present if each.number not in keep),
        reason=_why_not_ready(stable if waits else latest),
    )


def _share(latest: Revision | None, rolled_out: Revision | None, canary: int | None) -> Traffic:
    """Share the traffic among the newest revision and the one that had all of it, as far as they are ready.

    A canary never gets more than its share: while the stable revision is restarted, its share has nobody.
    """
    old = rolled_out if rolled_out is not None and rolled_out.state is RevisionState.READY else None
    if latest is None or latest.state is not RevisionState.READY:
        return ((old, 100),) if old is not None else ()
    stable = rolled_out is not None and rolled_out.state not in RETIRED and rolled_out.number != latest.number
    if canary is None or canary == 100 or not stable:
        return ((latest, 100),)
    if old is not None:
        return ((latest, canary), (old, 100 - canary))
    return ((latest, canary),) if canary else ()


def _why_not_ready(missing: Revision | None) -> str:
    if missing is None:
        return "there is no revision; see its status"
    if missing.failure is not None:
        return f"revision {missing.name} failed: {missing.failure.message.splitlines()[0]}"
    return missing.waiting or f"revision {missing.name} {STEPS[missing.state]}"
