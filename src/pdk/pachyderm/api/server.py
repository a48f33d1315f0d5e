"""The gRPC server of pachd: one generic servicer in front of plain functions.

The classes of `api/pfs.py`, `api/pps.py`, `api/admin.py`, ... mark each handler with `@rpc("InspectCommit")`, and
`methods_of` collects them. A handler takes the decoded request (an iterator of requests when the client streams) and a
`RpcCall`, and returns a message, None (= Empty), or an iterable of messages when the server streams. It raises the
errors of `pdk.base.errors`; `api/status.py` maps them. The first line of its docstring is its row of the compatibility
page. Methods without a handler answer UNIMPLEMENTED. Mirrors the interceptors of pachd's `internal/middleware`.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import grpc

from pdk.base.errors import PdkError, Unavailable, Unimplemented
from pdk.pachyderm.api.status import code_of
from pdk.pachyderm.api.wire import Rpc, Wire
from pdk.reconcile.changes import Changes

logger = logging.getLogger(__name__)

# Clients send up to 20 MiB in a message; we never send more than `api.files.CHUNK_BYTES` of a file in one.
MAX_MESSAGE_BYTES = 64 << 20

# Calls at the same time, those that wait (InspectCommit, SubscribeCommit, following logs) included.
THREADS = 200

OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # pachctl pings every 20 s without streams, which grpc by default takes for abuse.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
    # Two servers must never share a port: clients would reach either.
    ("grpc.so_reuseport", 0),
]

# gRPC tells the end of a stream that broke off before it tells that it broke off; about 0.1 ms lie between.
BREAK_OFF_SECONDS = 0.005


class RpcCall:
    """What a handler may know of the call beside the request."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context
        self.metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}

    def cancelled(self) -> bool:
        """Tell whether nobody waits for the answer any more."""
        return not self._context.is_active()

    def broke_off(self) -> bool:
        """Tell whether the stream of requests that has just ended was cut off, as when its client died."""
        gone = threading.Event()
        return not self._context.add_callback(gone.set) or gone.wait(BREAK_OFF_SECONDS)


RpcHandler = Callable[[Any, RpcCall], Any]
# (service, method), as in `("pfs_v2.API", "InspectCommit")` -> handler.
Methods = Mapping[tuple[str, str], RpcHandler]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Mark:
    """What `rpc` notes on a handler; `service` "" is that of its class, `method` "*" every one without a handler."""

    method: str
    service: str
    refuses: bool


def rpc(method: str, service: str = "", refuses: bool = False) -> Callable[[F], F]:
    """Mark a handler with the names of its call on the wire.

    Without `service` it is the `service` of the class. `refuses`: the call is known but always answers with an error,
    so the compatibility page must not list it as answered.
    """

    def mark(handler: F) -> F:
        vars(handler)["mark"] = Mark(method, service, refuses)
        return handler

    return mark


def mark_of(handler: object) -> Mark | None:
    """Return what `rpc` noted on a function or bound method; None for any other object."""
    mark = getattr(handler, "mark", None)
    return mark if isinstance(mark, Mark) else None


class Service(Protocol):
    """An object with handlers; `service` is the protobuf name of most of them, as in `pfs_v2.API`."""

    service: str


def methods_of(service: Service) -> Methods:
    """Return the marked handlers of an object."""
    marks = {name: mark_of(getattr(type(service), name)) for name in dir(type(service))}
    return {
        (mark.service or service.service, mark.method): getattr(service, name)
        for name, mark in marks.items()
        if mark is not None
    }


class PachdServer:
    """Serves the given methods on a port; `port` is the bound one after `start`."""

    def __init__(
        self, wire: Wire, services: Iterable[Methods], changes: Changes, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._wire = wire
        self._changes = changes
        self._host = host
        self.port = port
        methods: dict[tuple[str, str], RpcHandler] = {}
        for service in services:
            methods.update(service)
        self._server = grpc.server(futures.ThreadPoolExecutor(THREADS, "grpc"), options=OPTIONS)
        self._server.add_generic_rpc_handlers((_Router(wire, methods, changes),))

    def start(self) -> None:
        """Bind and serve. Raises Unavailable when the port is taken."""
        try:
            self.port = self._server.add_insecure_port(f"{self._host}:{self.port}")
        except RuntimeError as error:
            raise Unavailable(
                f"cannot listen on {self._host}:{self.port}: {error}; is another pachd running?"
            ) from error
        self._server.start()

    def stop(self, grace: float = 2.0) -> None:
        """End waiting calls by closing `changes`, give the others `grace` seconds, then close the port."""
        self._changes.close()
        self._server.stop(grace).wait()


class _Router(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the handler of a path and dresses it for grpc."""

    def __init__(self, wire: Wire, methods: Methods, changes: Changes) -> None:
        self._wire = wire
        self._methods = methods
        self._changes = changes

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Return how to serve one path."""
        service, method = _split(handler_call_details.method)
        handler = self._methods.get((service, method)) or self._methods.get((service, "*"))
        rpc = self._wire.rpcs.get((service, method))
        if handler is None or rpc is None:
            return _raw_handler(Unimplemented(f"unknown method {method} for service {service}"))
        return self._dress(rpc, handler)

    def _dress(self, rpc: Rpc, handler: RpcHandler) -> grpc.RpcMethodHandler:
        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            with _Answering(context, rpc):
                answer = handler(request, self._call(context))
                return answer if answer is not None else rpc.response()

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with _Answering(context, rpc):
                yield from handler(request, self._call(context))

        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[rpc.request_streams, rpc.response_streams]
        return make(
            stream if rpc.response_streams else unary,
            request_deserializer=rpc.request.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _call(self, context: grpc.ServicerContext) -> RpcCall:
        context.add_callback(self._changes.notify)  # wakes a handler that waits for a change when its client goes away
        call = RpcCall(context)
        # The SDK sends an empty id when there is none. With one, doing the work now would be wrong.
        if call.metadata.get("pach-transaction"):
            raise Unimplemented("transactions are not implemented: leave the transaction (pachctl stop transaction)")
        return call


def _split(path: str) -> tuple[str, str]:
    service, _, method = path.lstrip("/").rpartition("/")
    return service, method


def _raw_handler(error: PdkError) -> grpc.RpcMethodHandler:
    def refuse(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.abort(code_of(error), str(error))
        yield from ()

    # Streaming on both sides suits every kind of method, as no message is read or sent.
    return grpc.stream_stream_rpc_method_handler(refuse)


class _Answering:
    """Turns an error of a handler into the status of its call."""

    def __init__(self, context: grpc.ServicerContext, rpc: Rpc) -> None:
        self._context = context
        self._rpc = rpc

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, GeneratorExit) or not self._context.is_active():
            return
        if isinstance(error, PdkError):
            logger.debug("%s/%s: %s", self._rpc.service, self._rpc.method, error)
            self._context.abort(code_of(error), str(error))
        if isinstance(error, Exception):
            logger.error("%s/%s failed", self._rpc.service, self._rpc.method, exc_info=error)
            self._context.abort(grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}")
