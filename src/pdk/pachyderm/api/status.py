"""The one table from error category to gRPC status code; used by `api/server.py`."""

import grpc

from pdk.base import errors

CODES: dict[type[errors.PdkError], grpc.StatusCode] = {
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.Internal: grpc.StatusCode.UNKNOWN,
}


def code_of(error: errors.PdkError) -> grpc.StatusCode:
    """Return the code of the error's category; UNKNOWN for one without a category."""
    return next((code for category, code in CODES.items() if isinstance(error, category)), grpc.StatusCode.UNKNOWN)
