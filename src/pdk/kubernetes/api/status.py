"""Errors as Kubernetes `Status` objects: the one table from reason and error category to HTTP code.

Called by the API server for every failed request and by watches for the error events inside a stream. Mirrors
k8s.io/apimachinery pkg/api/errors and metav1.Status.
"""

from pdk.base import errors
from pdk.kubernetes.errors import Details, ObjectError, Reason
from pdk.kubernetes.kinds.json_object import JsonObject

# HTTP code of each Kubernetes reason.
CODES = {
    Reason.ALREADY_EXISTS: 409,
    Reason.BAD_REQUEST: 400,
    Reason.CONFLICT: 409,
    Reason.EXPIRED: 410,
    Reason.FORBIDDEN: 403,
    Reason.INTERNAL_ERROR: 500,
    Reason.INVALID: 422,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.NOT_ACCEPTABLE: 406,
    Reason.NOT_FOUND: 404,
    Reason.NOT_IMPLEMENTED: 501,
    Reason.REQUEST_ENTITY_TOO_LARGE: 413,
    Reason.SERVICE_UNAVAILABLE: 503,
    Reason.TOO_MANY_REQUESTS: 429,
    Reason.UNAUTHORIZED: 401,
    Reason.UNSUPPORTED_MEDIA_TYPE: 415,
}

# Kubernetes reason of each error category, for errors that carry none of their own.
REASONS: tuple[tuple[type[errors.PdkError], Reason], ...] = (
    (errors.NotFound, Reason.NOT_FOUND),
    (errors.AlreadyExists, Reason.ALREADY_EXISTS),
    (errors.InvalidArgument, Reason.BAD_REQUEST),
    (errors.FailedPrecondition, Reason.FORBIDDEN),
    (errors.Conflict, Reason.CONFLICT),
    (errors.Unauthenticated, Reason.UNAUTHORIZED),
    (errors.PermissionDenied, Reason.FORBIDDEN),
    (errors.Unavailable, Reason.SERVICE_UNAVAILABLE),
    (errors.Unimplemented, Reason.NOT_IMPLEMENTED),
)


def reason_of(error: errors.PdkError) -> Reason:
    """Return the Kubernetes reason of an error."""
    if isinstance(error, ObjectError):
        return error.reason
    return next((reason for category, reason in REASONS if isinstance(error, category)), Reason.INTERNAL_ERROR)


def failure(error: errors.PdkError) -> JsonObject:
    """Return the Status object of an error."""
    reason = reason_of(error)
    details = _details(error.details) if isinstance(error, ObjectError) else {}
    return failure_status(str(error), reason, details)


def failure_status(message: str, reason: Reason, details: JsonObject | None = None) -> JsonObject:
    """Return a Status object for a failure with one of the reasons of `CODES`."""
    status: JsonObject = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
    }
    if details:
        status["details"] = details
    return status | {"code": CODES[reason]}


def success(name: str, group: str, plural: str, uid: str) -> JsonObject:
    """Return the Status a deletion that removed the object answers with."""
    details = {"name": name, "group": group, "kind": plural, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def _details(details: Details) -> JsonObject:
    shown: JsonObject = {
        field: getattr(details, field) for field in ("name", "group", "kind", "uid") if getattr(details, field)
    }
    if details.causes:
        shown["causes"] = [
            {"reason": cause.reason, "message": cause.message} | ({"field": cause.field} if cause.field else {})
            for cause in details.causes
        ]
    return shown
