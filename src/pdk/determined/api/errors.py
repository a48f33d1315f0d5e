"""The one table from error categories to HTTP, and the error objects of the two API styles.

`/api/v1` is a gRPC gateway in the original ({"error": {code, reason, error}}), the rest are plain routes ({"message"}).
"""

from dataclasses import dataclass
from typing import Any

from pdk.base import errors


@dataclass(frozen=True)
class Status:
    """How a category of errors looks on the wire."""

    http: int
    code: int
    reason: str


STATUSES: dict[type[errors.PdkError], Status] = {
    errors.NotFound: Status(404, 5, "NotFound"),
    errors.AlreadyExists: Status(409, 6, "AlreadyExists"),
    errors.InvalidArgument: Status(400, 3, "InvalidArgument"),
    errors.FailedPrecondition: Status(400, 9, "FailedPrecondition"),
    errors.Conflict: Status(409, 10, "Aborted"),
    errors.Unauthenticated: Status(401, 16, "Unauthenticated"),
    errors.PermissionDenied: Status(403, 7, "PermissionDenied"),
    errors.Unimplemented: Status(501, 12, "Unimplemented"),
    errors.Unavailable: Status(503, 14, "Unavailable"),
    errors.Internal: Status(500, 2, "Unknown"),
}
UNKNOWN = Status(500, 13, "Internal")
GATEWAY_PREFIX = "/api/v1/"


def status_of(error: BaseException) -> Status:
    """Return the status of an error; what is no PdkError is a fault of the server."""
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return UNKNOWN


def body_of(error: BaseException, path: str) -> dict[str, Any]:
    """Return the error object the route of `path` answers with; faults of the server show no details."""
    status = status_of(error)
    text = str(error) if isinstance(error, errors.PdkError) else f"internal error ({type(error).__name__}): see the log"
    if path.startswith(GATEWAY_PREFIX):
        return {"error": {"code": status.code, "reason": status.reason, "error": text}}
    return {"message": text}


def stream_error(error: BaseException) -> dict[str, Any]:
    """Return the line that ends a stream which failed half-way."""
    status = status_of(error)
    message = str(error) if isinstance(error, errors.PdkError) else f"internal error ({type(error).__name__})"
    return {
        "error": {
            "grpcCode": status.code,
            "httpCode": status.http,
            "message": message,
            "httpStatus": status.reason,
        }
    }
