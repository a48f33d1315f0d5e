"""Error categories every layer raises and every transport maps once.

    PdkError
    ├── NotFound            gRPC NOT_FOUND            HTTP 404  Kubernetes NotFound
    ├── AlreadyExists       gRPC ALREADY_EXISTS       HTTP 409  Kubernetes AlreadyExists
    ├── InvalidArgument     gRPC INVALID_ARGUMENT     HTTP 400  Kubernetes BadRequest / Invalid
    ├── FailedPrecondition  gRPC FAILED_PRECONDITION  HTTP 400  Kubernetes Forbidden
    ├── Conflict            gRPC ABORTED              HTTP 409  Kubernetes Conflict
    ├── Unauthenticated     gRPC UNAUTHENTICATED      HTTP 401  Kubernetes Unauthorized
    ├── PermissionDenied    gRPC PERMISSION_DENIED    HTTP 403  Kubernetes Forbidden
    ├── Unavailable         gRPC UNAVAILABLE          HTTP 503  Kubernetes ServiceUnavailable
    ├── Unimplemented       gRPC UNIMPLEMENTED        HTTP 501  Kubernetes Status 501
    └── Internal            gRPC UNKNOWN              HTTP 500  Kubernetes InternalError

Domain errors subclass one category next to the code that raises them and carry the original's text where clients match
on it.
"""


class PdkError(Exception):
    """Base of every error pdk raises on purpose; `str(error)` is the text a client sees."""


class NotFound(PdkError):
    """The named thing does not exist."""


class AlreadyExists(PdkError):
    """The named thing exists already."""


class InvalidArgument(PdkError):
    """The request is malformed whatever the state of the server."""


class FailedPrecondition(PdkError):
    """The request is well formed, but the present state forbids it."""


class Conflict(PdkError):
    """The caller's view is stale (resourceVersion, run id); read again and retry."""


class Unauthenticated(PdkError):
    """Who is calling is not known."""


class PermissionDenied(PdkError):
    """The caller is known and may not do this."""


class Unavailable(PdkError):
    """Not possible at the moment; the same call may work later."""


class Unimplemented(PdkError):
    """The original offers this, pdk does not."""


class Internal(PdkError):
    """A fault of the server, or an error the original reports without a category."""
