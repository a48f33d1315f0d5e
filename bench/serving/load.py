"""The load: N connections that each send the same request again as soon as it is answered.

    python load.py 127.0.0.1:8085 /v1/models/customer-churn:predict body.json --connections 16 --seconds 3

A process of its own, so that it shares no interpreter with anything it measures. Prints one JSON object: requests,
errors, seconds, and latencies in milliseconds (p50, p99, max).
"""

import argparse
import asyncio
import functools
import json
import time
from pathlib import Path

import httptools


class Connection(asyncio.Protocol):
    """One keep-alive connection; `latencies` in seconds, of the answers that came before the deadline."""

    def __init__(self, request: bytes, deadline: float, done: asyncio.Future[None]) -> None:
        self._request, self._deadline, self._done = request, deadline, done
        self.latencies: list[float] = []
        self.errors = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self.errors += 1  # the server closed in the middle of a request
            self._done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        if self._parser.get_status_code() == 200:
            self.latencies.append(now - self._sent)
        else:
            self.errors += 1
        if now >= self._deadline:
            self._done.set_result(None)
            self._transport.close()
        else:
            self._send()

    def _send(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._sent = time.perf_counter()
        self._transport.write(self._request)


async def run(address: str, request: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Keep `connections` busy for `seconds`."""
    loop = asyncio.get_running_loop()
    host, _, port = address.partition(":")
    started = time.perf_counter()
    made = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        make = functools.partial(Connection, request, started + seconds, done)
        _, protocol = await loop.create_connection(make, host, int(port))
        made.append((protocol, done))
    await asyncio.gather(*(done for _, done in made))
    elapsed = time.perf_counter() - started
    latencies = sorted(latency for protocol, _ in made for latency in protocol.latencies)
    return {
        "requests": len(latencies),
        "errors": sum(protocol.errors for protocol, _ in made),
        "seconds": elapsed,
        "p50": 1000 * percentile(latencies, 0.50),
        "p99": 1000 * percentile(latencies, 0.99),
        "max": 1000 * percentile(latencies, 1.0),
    }


def percentile(values: list[float], share: float) -> float:
    """Give the value below which `share` of the sorted values lie."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("path")
    parser.add_argument("body", type=Path)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    body = args.body.read_bytes()
    head = f"POST {args.path} HTTP/1.1\r\nHost: {args.address}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    print(json.dumps(asyncio.run(run(args.address, request, args.connections, args.seconds))))


if __name__ == "__main__":
    main()
