"""What stands behind and before an ingress in its tests: a scripted model server, and a client of raw bytes."""

import contextlib
import json
import socket
import threading

from pdk.kserve.ingress.messages import IngressLimits

HOST = "churn.default.example.com"
PREDICT = "/v1/models/churn:predict"
LIMITS = IngressLimits(
    max_header_bytes=4096,
    max_body_bytes=20_000,
    max_buffered_bytes=30_000,
    max_response_bytes=50_000,
    max_connections=8,
    header_timeout=0.5,
    body_timeout=0.5,
    idle_timeout=1.0,
    connect_timeout=0.5,
)


class ModelServer:
    """Answers every request on a kept connection with `answer` (bytes, or a function of it); keeps what came."""

    def __init__(self):
        self.answer = http_answer(200, b'{"predictions": [1]}')
        self.seen = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                headers = {}
                while (header := stream.readline().strip()) != b"":
                    name, _, value = header.partition(b":")
                    headers[name.decode().lower()] = value.strip().decode()
                body = stream.read(int(headers.get("content-length", 0)))
                self.seen.append((line.decode().strip(), headers, body))
                answer = self.answer(self.seen[-1]) if callable(self.answer) else self.answer
                if answer is None:
                    return
                connection.sendall(answer)
                if b"connection: close" in answer:
                    return

    def close_connections(self):
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self._listener.close()
        self.close_connections()


def http_answer(status, body=b"", **headers):
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def native_error(status, message, kind="InternalServerException"):
    body = json.dumps({"code": status, "type": kind, "message": message}).encode()
    return http_answer(status, body, connection="close", x_request_id="ts-id")


def talk(ingress, data, wait=5.0):
    """Send raw bytes; return all that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", ingress.port), timeout=wait) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def request_bytes(body=b'{"instances": [1]}', path=PREDICT, extra=b"", method=b"POST"):
    head = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, path.encode(), HOST.encode())
    return head + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body
