"""Errors as Kubernetes `Status` objects: the one table from reason and error category to HTTP code.

Called by the API server for every failed request and by watches for the error events inside a stream. Mirrors
k8s.io/apimachinery pkg/api/errors and metav1.Status.
"""

from pdk.base import errors
from pdk.kubernetes.errors import Details, ObjectError
from pdk.kubernetes.kinds.json_object import JsonObject

# HTTP code of each Kubernetes reason.
CODES = {
    "AlreadyExists": 409,
    "BadRequest": 400,
    "Conflict": 409,
    "Expired": 410,
    "Forbidden": 403,
    "InternalError": 500,
    "Invalid": 422,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "NotFound": 404,
    "NotImplemented": 501,
    "RequestEntityTooLarge": 413,
    "ServiceUnavailable": 503,
    "TooManyRequests": 429,
    "Unauthorized": 401,
    "UnsupportedMediaType": 415,
}

# Kubernetes reason of each error category, for errors that carry none of their own.
REASONS: tuple[tuple[type[errors.PdkError], str], ...] = (
    (errors.NotFound, "NotFound"),
    (errors.AlreadyExists, "AlreadyExists"),
    (errors.InvalidArgument, "BadRequest"),
    (errors.FailedPrecondition, "Forbidden"),
    (errors.Conflict, "Conflict"),
    (errors.Unauthenticated, "Unauthorized"),
    (errors.PermissionDenied, "Forbidden"),
    (errors.Unavailable, "ServiceUnavailable"),
    (errors.Unimplemented, "NotImplemented"),
)


def reason_of(error: errors.PdkError) -> str:
    """Return the Kubernetes reason of an error."""
    if isinstance(error, ObjectError):
        return error.reason
    return next((reason for category, reason in REASONS if isinstance(error, category)), "InternalError")


def failure(error: errors.PdkError) -> JsonObject:
    """Return the Status object of an error."""
    reason = reason_of(error)
    details = _details(error.details) if isinstance(error, ObjectError) else {}
    return failure_status(str(error), reason, details)


def failure_status(message: str, reason: str, details: JsonObject | None = None) -> JsonObject:
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
