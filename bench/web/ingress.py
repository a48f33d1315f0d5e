"""The ingress' own loop, beside the same gateway as an application on uvicorn: what the hop costs.

    python bench/web/ingress.py [--rounds 5] [--seconds 2] [--rows 1]

Both stand before the same trivial model server, each in a process of its own; `direct` is that server without an
ingress.
Runs alternate within each round, on 1 and 16 connections, with the load of `bench/serving/load.py`; shown is the
median requests per second over rounds and the median of the rounds' ratios to the ingress' own loop.
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pdk.kserve.ingress.gateway import Gateway
from pdk.kserve.ingress.messages import ClientRequest, IngressLimits
from pdk.kserve.ingress.server import Ingress
from pdk.kserve.ingress.upstream import UpstreamPool
from pdk.kserve.predictor.routes import Backend, ServiceRoute, ServiceRoutes
from pdk.web import listening

LOAD = Path(__file__).resolve().parents[1] / "serving" / "load.py"
HOST = "127.0.0.1"
PATH = "/v1/models/m:predict"
COLUMNS = 88
MAX_BODY_BYTES = 64 << 20
ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{"predictions": [1]}'
CONTENDERS = ("direct", "own", "uvicorn")


class Model(asyncio.Protocol):
    """Answers each request once the bytes its head tells of have come; the head comes in one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._missing = 0

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            head, _, _ = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
            self._missing = len(head) + 4 + int(length[1])
        self._missing -= len(data)
        if not self._missing:
            self._transport.write(ANSWER)


def body_of(rows: int) -> bytes:
    """Return a V1 body with rows as the churn model takes them: numbers, and some texts."""
    values = [f"CATEGORY {index}" if index % 8 == 0 else index * 1.25 for index in range(COLUMNS)]
    row = {f"column_name_{index}": value for index, value in enumerate(values)}
    return json.dumps({"instances": [row] * rows}).encode()


class OnUvicorn:
    """The gateway as an ASGI application."""

    def __init__(self, routes: ServiceRoutes) -> None:
        limits = IngressLimits()
        self._gateway = Gateway(routes, UpstreamPool(limits), limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        request = ClientRequest(
            scope["method"], scope["path"], scope["query_string"], scope["headers"], body, keep_alive=True
        )
        answer = await self._gateway.handle(request)
        response = Response(answer.body, answer.status, media_type=answer.content_type.decode())
        response.raw_headers.extend(answer.headers)
        await response(scope, receive, send)


def serve(contender: str, model_port: int) -> None:
    """Serve one contender until standard input ends; print its port."""
    if contender == "direct":
        asyncio.run(serve_model())
        return
    routes = ServiceRoutes()
    backend = Backend("m-predictor-00001", model_port, ("m",), max_request_bytes=MAX_BODY_BYTES)
    routes.set(ServiceRoute("default", "m", (HOST,), ((backend, 100),)))
    if contender == "own":
        server = Ingress(routes, HOST, 0)
        server.start()
        print(server.port, flush=True)
    else:
        listener = listening.listening_socket(HOST, 0, "the bench")
        asyncio.run = uvloop.run  # as fast as it gets
        server = listening.WebServer("bench", lambda loop: OnUvicorn(routes), listener)
        server.start()
        print(listening.port_of(listener), flush=True)
    sys.stdin.read()


async def serve_model() -> None:
    server = await asyncio.get_running_loop().create_server(Model, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


def rate(port: int, body: str, connections: int, seconds: float) -> float:
    """Return the requests per second of one run."""
    command = [sys.executable, LOAD, f"{HOST}:{port}", PATH, body, "--connections", str(connections)]
    done = subprocess.run([*command, "--seconds", str(seconds)], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert not result["errors"], result
    return result["requests"] / result["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--serve", nargs=2)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve[0], int(args.serve[1]))
        return
    children, ports = [], {}
    for contender in CONTENDERS:
        command = [sys.executable, __file__, "--serve", contender, str(ports.get("direct", 0))]
        children.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        ports[contender] = int(children[-1].stdout.readline())
    with tempfile.NamedTemporaryFile(suffix=".json") as body:
        Path(body.name).write_bytes(body_of(args.rows))
        for connections in (1, 16):
            runs = {contender: [] for contender in CONTENDERS}
            for turn in range(args.rounds):
                for contender in CONTENDERS if turn % 2 else reversed(CONTENDERS):
                    runs[contender].append(rate(ports[contender], body.name, connections, args.seconds))
            for contender, rates in runs.items():
                ratio = statistics.median(each / own for each, own in zip(rates, runs["own"], strict=True))
                print(
                    f"{connections:2} connections  {contender:8} {statistics.median(rates):7.0f}/s  ratio {ratio:.2f}"
                )
    for child in children:
        child.communicate()


if __name__ == "__main__":
    main()
