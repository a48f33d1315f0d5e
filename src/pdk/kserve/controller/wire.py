"""The words and shapes of an InferenceService's status, as KServe's clients know them."""

import enum
from typing import Literal, TypedDict

from pdk.kserve.predictor.failures import FailureReason
from pdk.kserve.predictor.revisions import RevisionName


class Holds(enum.StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(enum.StrEnum):
    """The conditions of an InferenceService; STOPPED only while it is told to stop, the last four only with Knative."""

    READY = "Ready"
    PREDICTOR_READY = "PredictorReady"
    INGRESS_READY = "IngressReady"
    STOPPED = "Stopped"
    PREDICTOR_ROUTE_READY = "PredictorRouteReady"
    PREDICTOR_CONFIGURATION_READY = "PredictorConfigurationReady"
    ROUTES_READY = "RoutesReady"
    LATEST_DEPLOYMENT_READY = "LatestDeploymentReady"


class ConditionReason(enum.StrEnum):
    """Why a condition does not hold, beside the FailureReason of a spec that cannot be served."""

    STOPPED = "Stopped"
    REVISION_MISSING = "RevisionMissing"
    REVISION_FAILED = "RevisionFailed"
    WAITING_FOR_STORAGE = "WaitingForStorage"
    DEPLOYING = "Deploying"
    COMPONENT_NOT_READY = "ComponentNotReady"


class ModelState(enum.StrEnum):
    """How far the model of a revision is."""

    PENDING = "Pending"
    LOADING = "Loading"
    LOADED = "Loaded"
    FAILED_TO_LOAD = "FailedToLoad"


class TransitionStatus(enum.StrEnum):
    """Whether what serves is what the spec asks for."""

    UP_TO_DATE = "UpToDate"
    IN_PROGRESS = "InProgress"
    BLOCKED_BY_FAILED_LOAD = "BlockedByFailedLoad"
    INVALID_SPEC = "InvalidSpec"


class Condition(TypedDict, total=False):
    """One entry of `status.conditions`; the time is RFC 3339."""

    type: ConditionType
    status: Holds
    severity: Literal["Info"]
    reason: ConditionReason | FailureReason
    message: str
    lastTransitionTime: str


class FailureInfo(TypedDict, total=False):
    """`status.modelStatus.lastFailureInfo`; the time is RFC 3339."""

    reason: FailureReason
    message: str
    modelRevisionName: RevisionName
    location: str
    time: str
    exitCode: int


class ModelStatus(TypedDict, total=False):
    """`status.modelStatus`; the active state is empty while nothing serves."""

    copies: dict[Literal["failedCopies", "totalCopies"], int]
    states: dict[Literal["activeModelState", "targetModelState"], ModelState | Literal[""]]
    transitionStatus: TransitionStatus
    lastFailureInfo: FailureInfo


class PredictorStatus(TypedDict, total=False):
    """`status.components.predictor`."""

    latestCreatedRevision: RevisionName
    latestReadyRevision: RevisionName
    latestRolledoutRevision: RevisionName
    previousRolledoutRevision: RevisionName
    traffic: list[dict[str, object]]
    url: str
    address: dict[Literal["url"], str]


class ServiceStatus(TypedDict, total=False):
    """`status`."""

    observedGeneration: int
    deploymentMode: str
    conditions: list[Condition]
    modelStatus: ModelStatus
    components: dict[Literal["predictor"], PredictorStatus]
    clusterServingRuntimeName: str
    url: str
    address: dict[Literal["url"], str]
