"""What the Kubernetes API and its object store refuse, in the texts clients print and match on.

    pdk.base.errors
    ├── NotFound            ObjectNotFound          pods "x" not found
    │                       PathNotFound            the server could not find the requested resource
    ├── AlreadyExists       ObjectExists            pods "x" already exists
    ├── Conflict            ObjectConflict          Operation cannot be fulfilled on pods "x": ...
    │                       FieldManagerConflict    Apply failed with 1 conflict: conflict with "kubectl": .spec
    │                       Expired                 too old resource version: 5 (90)
    ├── InvalidArgument     ObjectInvalid           Secret "x" is invalid: data[k]: Invalid value: ...
    │                       BadRequest              the request cannot be read
    │                       UnsupportedMediaType    a body or patch type the resource does not take
    │                       RequestTooLarge         a body over the limit
    ├── FailedPrecondition  ObjectForbidden         namespaces "default" is forbidden: ...
    │                       AdmissionDenied         admission webhook "..." denied the request: ...
    ├── Unavailable         TooManyRequests         too many watches
    └── Unimplemented       MethodNotAllowed        the verb does not exist on the resource
                            NotServed               pods/exec is not implemented by this server

`reason` is Kubernetes' own machine-readable one (metav1.StatusReason), which `pdk.kubernetes.api.status` turns into a
code. Texts mirror k8s.io/apimachinery pkg/api/errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pdk.base.errors import (
    AlreadyExists,
    Conflict,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PdkError,
    Unavailable,
    Unimplemented,
)


class Reason(StrEnum):
    """Kubernetes' machine-readable reasons (metav1.StatusReason)."""

    UNKNOWN = "Unknown"
    ALREADY_EXISTS = "AlreadyExists"
    BAD_REQUEST = "BadRequest"
    CONFLICT = "Conflict"
    EXPIRED = "Expired"
    FORBIDDEN = "Forbidden"
    INTERNAL_ERROR = "InternalError"
    INVALID = "Invalid"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    NOT_ACCEPTABLE = "NotAcceptable"
    NOT_FOUND = "NotFound"
    NOT_IMPLEMENTED = "NotImplemented"
    REQUEST_ENTITY_TOO_LARGE = "RequestEntityTooLarge"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    TOO_MANY_REQUESTS = "TooManyRequests"
    UNAUTHORIZED = "Unauthorized"
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType"


@dataclass(frozen=True)
class Cause:
    """One reason inside an error: what is wrong (`reason`, `message`) and with which field."""

    reason: str
    message: str
    field: str = ""


@dataclass(frozen=True)
class Details:
    """What an error is about: object name, API group, plural or kind, uid, and the causes."""

    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: tuple[Cause, ...] = ()


class ObjectError(PdkError):
    """Base of the errors here: a Kubernetes `reason` and the `details` of a Status."""

    reason = Reason.UNKNOWN

    def __init__(self, message: str, details: Details | None = None) -> None:
        super().__init__(message)
        self.details = details or Details()


def split_key(resource: str) -> tuple[str, str]:
    """Split `deployments.apps` into plural and group; the core group is empty."""
    plural, _, group = resource.partition(".")
    return plural, group


def _about(resource: str, name: str) -> Details:
    plural, group = split_key(resource)
    return Details(name=name, group=group, kind=plural)


class ObjectNotFound(ObjectError, NotFound):
    """No such object; `resource` is `plural` or `plural.group`."""

    reason = Reason.NOT_FOUND

    def __init__(self, resource: str, name: str) -> None:
        super().__init__(f'{resource} "{name}" not found', _about(resource, name))


class PathNotFound(ObjectError, NotFound):
    """The server has nothing at this URL."""

    reason = Reason.NOT_FOUND

    def __init__(self, message: str = "the server could not find the requested resource") -> None:
        super().__init__(message)


class ObjectExists(ObjectError, AlreadyExists):
    """An object of that name is there already."""

    reason = Reason.ALREADY_EXISTS

    def __init__(self, resource: str, name: str) -> None:
        super().__init__(f'{resource} "{name}" already exists', _about(resource, name))


class ObjectConflict(ObjectError, Conflict):
    """The writer saw an older object, or a precondition (uid, resourceVersion) does not hold."""

    reason = Reason.CONFLICT
    STALE = "the object has been modified; please apply your changes to the latest version and try again"

    def __init__(self, resource: str, name: str, why: str = STALE) -> None:
        super().__init__(f'Operation cannot be fulfilled on {resource} "{name}": {why}', _about(resource, name))


class FieldManagerConflict(ObjectError, Conflict):
    """A server-side apply would change fields other managers own; one cause for each field."""

    reason = Reason.CONFLICT

    def __init__(self, conflicts: Sequence[tuple[str, str]]) -> None:
        """Take (manager, field path) pairs."""
        causes = tuple(Cause("FieldManagerConflict", f'conflict with "{manager}"', path) for manager, path in conflicts)
        listing = "\n".join(f'- conflict with "{manager}": {path}' for manager, path in conflicts)
        if len(conflicts) == 1:
            message = f'Apply failed with 1 conflict: conflict with "{conflicts[0][0]}": {conflicts[0][1]}'
        else:
            message = f"Apply failed with {len(conflicts)} conflicts:\n{listing}"
        super().__init__(message, Details(causes=causes))


class Expired(ObjectError, Conflict):
    """The watch history does not reach back to the asked resourceVersion: list again."""

    reason = Reason.EXPIRED

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")


class ObjectInvalid(ObjectError, InvalidArgument):
    """The object breaks a rule of its kind; `kind` is `Kind` or `Kind.group`."""

    reason = Reason.INVALID

    def __init__(self, kind: str, name: str, causes: Sequence[Cause]) -> None:
        texts = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes]
        problem = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
        bare, group = split_key(kind)
        super().__init__(f'{kind} "{name}" is invalid: {problem}', Details(name, group, bare, "", tuple(causes)))


class BadRequest(ObjectError, InvalidArgument):
    """The request cannot be understood."""

    reason = Reason.BAD_REQUEST


class UnsupportedMediaType(ObjectError, InvalidArgument):
    """The body has a type the server does not read there."""

    reason = Reason.UNSUPPORTED_MEDIA_TYPE


class RequestTooLarge(ObjectError, InvalidArgument):
    """The body is over the limit."""

    reason = Reason.REQUEST_ENTITY_TOO_LARGE


class ObjectForbidden(ObjectError, FailedPrecondition):
    """A rule of the server forbids it; `resource` is `plural` or `plural.group`."""

    reason = Reason.FORBIDDEN

    def __init__(self, resource: str, name: str, why: str) -> None:
        super().__init__(f'{resource} "{name}" is forbidden: {why}', _about(resource, name))


class AdmissionDenied(ObjectError, FailedPrecondition):
    """An admission webhook said no."""

    reason = Reason.FORBIDDEN

    def __init__(self, webhook: str, why: str) -> None:
        super().__init__(f'admission webhook "{webhook}" denied the request: {why}')


class TooManyRequests(ObjectError, Unavailable):
    """A limit of this server is reached; try again later."""

    reason = Reason.TOO_MANY_REQUESTS


class MethodNotAllowed(ObjectError, Unimplemented):
    """The resource exists, the verb on it does not."""

    reason = Reason.METHOD_NOT_ALLOWED


class NotServed(ObjectError, Unimplemented):
    """The original has it, this server does not."""

    reason = Reason.NOT_IMPLEMENTED
