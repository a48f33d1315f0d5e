import logging
import threading
from typing import get_args, get_type_hints

import grpc
import pytest
from pachyderm_sdk.api import pfs

from pdk.base import errors
from pdk.base.errors import NotFound, Unavailable
from pdk.pachyderm.api.admin import AdminService
from pdk.pachyderm.api.files import FileService
from pdk.pachyderm.api.pfs import PfsService
from pdk.pachyderm.api.server import PachdServer, methods_of
from pdk.pachyderm.api.status import CODES, code_of
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.errors import RepoNotFound
from pdk.reconcile.changes import Changes
from pdk.storage.errors import ChunkCorrupt

API = "pfs_v2.API"


@pytest.fixture(scope="module")
def wire():
    return Wire()


@pytest.fixture
def serve(wire):
    servers = []

    def serve(methods, changes=None):
        changes = changes or Changes()
        server = PachdServer(wire, [methods, methods_of(AdminService(wire, "id"))], changes)
        server.start()
        channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        servers.append((server, channel))

        def call(method, request=b"", service=API):
            rpc = wire.rpcs.get((service, method))
            if rpc is not None and rpc.response_streams:
                return channel.unary_stream(f"/{service}/{method}")(request)
            return channel.unary_unary(f"/{service}/{method}")(request, timeout=20)

        call.server = server
        return call

    yield serve
    for server, channel in servers:
        channel.close()
        server.stop(0)


def error_of(call, *args, **kwargs):
    with pytest.raises(grpc.RpcError) as caught:
        result = call(*args, **kwargs)
        list(result)
    return caught.value.code(), caught.value.details()


def subclasses(cls):
    return {cls, *(below for child in cls.__subclasses__() for below in subclasses(child))}


def test_every_error_has_the_code_of_its_category():
    found = subclasses(errors.PdkError) - {errors.PdkError}
    assert {RepoNotFound, ChunkCorrupt} <= found
    # The other systems' errors are in the same tree when their tests ran in the same process; they never get here.
    for cls in [
        cls for cls in found if cls.__module__.startswith(("pdk.base", "pdk.db", "pdk.storage", "pdk.pachyderm"))
    ]:
        assert sum(issubclass(cls, category) for category in CODES) == 1, cls


def test_codes():
    assert code_of(NotFound("x")) is grpc.StatusCode.NOT_FOUND
    assert code_of(errors.Internal("x")) is grpc.StatusCode.UNKNOWN
    assert code_of(errors.PdkError("x")) is grpc.StatusCode.UNKNOWN


def test_an_error_is_told_with_its_code_and_text(serve):
    def refuse(request, call):
        raise NotFound("repo default/x not found")

    def refuse_midway(request, call):
        yield request.__class__()
        raise NotFound("gone")

    call = serve({(API, "InspectRepo"): refuse, (API, "ListBranch"): refuse_midway})
    assert error_of(call, "InspectRepo") == (grpc.StatusCode.NOT_FOUND, "repo default/x not found")
    stream = call("ListBranch")
    assert next(stream) == b""
    assert error_of(lambda: stream) == (grpc.StatusCode.NOT_FOUND, "gone")


def test_a_fault_is_logged_and_told(serve, caplog):
    def fail(request, call):
        raise ZeroDivisionError("oops")

    call = serve({(API, "InspectRepo"): fail})
    with caplog.at_level(logging.ERROR, "pdk.pachyderm.api.server"):
        assert error_of(call, "InspectRepo") == (grpc.StatusCode.UNKNOWN, "ZeroDivisionError: oops")
    assert "InspectRepo failed" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("method", ["InspectRepo", "ListRepo", "ModifyFile", "Invented"])
def test_a_method_without_a_handler_is_unimplemented(serve, method):
    text = f"unknown method {method} for service {API}"
    assert error_of(serve({}), method) == (grpc.StatusCode.UNIMPLEMENTED, text)


def test_a_service_nobody_offers_is_unimplemented(serve):
    code, text = error_of(serve({}), "Do", service="pfs.API")
    assert (code, text) == (grpc.StatusCode.UNIMPLEMENTED, "unknown method Do for service pfs.API")


@pytest.mark.parametrize("method", ["WhoAmI", "Activate", "Authenticate", "GetRoleBinding"])
def test_auth_is_off(serve, method):
    code, text = error_of(serve({}), method, service="auth_v2.API")
    assert (code, text) == (grpc.StatusCode.UNIMPLEMENTED, "the auth service is not activated")


@pytest.mark.parametrize("service", [AdminService, PfsService, FileService])
def test_handlers_say_what_they_are_sent(wire, service):
    for key, handler in methods_of(service(wire, None)).items():
        if key in wire.rpcs:
            hint = next(iter(get_type_hints(handler).values()))
            assert wire[next(iter(get_args(hint)), hint)] is wire.rpcs[key].request, key


def test_no_answer_means_empty(serve):
    assert serve({(API, "CreateRepo"): lambda request, call: None})("CreateRepo") == b""


def test_a_handler_learns_that_its_client_went_away(serve, wire):
    changes, waiting, ended = Changes(), threading.Event(), threading.Event()

    def wait(request, call):
        yield wire[pfs.CommitInfo]()
        waiting.set()
        changes.wait_for(call.cancelled)
        if call.cancelled():
            ended.set()

    stream = serve({(API, "SubscribeCommit"): wait}, changes)("SubscribeCommit")
    next(stream)
    assert waiting.wait(20)
    stream.cancel()
    assert ended.wait(4), "it must be woken, not find out at the next look"


def test_metadata_reaches_the_handler(serve, wire):
    seen = {}

    def remember(request, call):
        seen.update(call.metadata)

    call = serve({(API, "CreateRepo"): remember})
    with grpc.insecure_channel(f"127.0.0.1:{call.server.port}") as channel:
        channel.unary_unary(f"/{API}/CreateRepo")(b"", metadata=[("pach-transaction", ""), ("authn-token", "t")])
    assert (seen["pach-transaction"], seen["authn-token"]) == ("", "t")


def test_a_call_of_a_transaction_is_refused_rather_than_done_at_once(serve):
    done = []
    call = serve({(API, "CreateRepo"): lambda request, call: done.append(request)})
    with grpc.insecure_channel(f"127.0.0.1:{call.server.port}") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{API}/CreateRepo")(b"", metadata=[("pach-transaction", "1234")])
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert done == []


def test_a_message_of_twenty_mebibytes_is_taken(serve, wire):
    sizes = []

    def take(requests, call):
        sizes.extend(len(request.add_file.raw.value) for request in requests)

    call = serve({(API, "ModifyFile"): take})
    message = wire[pfs.ModifyFileRequest]()
    message.add_file.raw.value = bytes(19 << 20)
    with grpc.insecure_channel(
        f"127.0.0.1:{call.server.port}", [("grpc.max_send_message_length", 20 << 20)]
    ) as channel:
        channel.stream_unary(f"/{API}/ModifyFile")(iter([message.SerializeToString()]))
    assert sizes == [19 << 20]


def test_nonsense_instead_of_a_message(serve):
    code, _ = error_of(serve({(API, "CreateRepo"): lambda request, call: None}), "CreateRepo", b"\xff\xff\xff")
    assert code is grpc.StatusCode.INTERNAL


def test_a_port_is_not_shared(serve, wire):
    port = serve({}).server.port
    with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{port}"):
        PachdServer(wire, [], Changes(), port=port).start()
