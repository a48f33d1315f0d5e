"""One look at an InferenceService and its revisions: what `status` and `workloads` describe.

Built by the reconciler at the end of a pass; holds values only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdk.kserve.controller.deployment_mode import Addresses
from pdk.kserve.predictor.failures import ModelFailure
from pdk.kserve.predictor.revisions import Revision, RevisionState, ServiceRow


@dataclass(frozen=True)
class View:
    """`traffic` is (revision, percent); `problem` is why the spec as it is cannot be served."""

    isvc: Mapping[str, Any]
    addresses: Addresses
    service: ServiceRow
    latest: Revision | None
    revisions: tuple[Revision, ...]
    traffic: tuple[tuple[Revision, int], ...]
    problem: ModelFailure | None = None
    stopped: bool = False

    @property
    def namespace(self) -> str:
        """The namespace of the InferenceService."""
        return str(self.isvc["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The name of the InferenceService."""
        return str(self.isvc["metadata"]["name"])

    @property
    def serving(self) -> bool:
        """True while some revision gets traffic."""
        return bool(self.traffic)

    @property
    def serving_whole(self) -> bool:
        """True while all of the traffic has a revision; not so while the stable revision beside a canary is down."""
        return sum(percent for _, percent in self.traffic) == 100

    @property
    def latest_ready(self) -> bool:
        """True when the newest spec answers."""
        return self.problem is None and self.latest is not None and self.latest.state is RevisionState.READY

    @property
    def failing(self) -> bool:
        """True when the newest spec cannot be served, or its last attempt failed."""
        return self.problem is not None or (self.latest is not None and self.latest.failure is not None)

    def revision(self, number: int | None) -> Revision | None:
        """Return the revision with this number, None when it is gone."""
        return next((each for each in self.revisions if each.number == number), None)
