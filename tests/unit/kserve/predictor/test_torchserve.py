"""Reading a TorchServe's answers and its log."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.probes import Probe
from pdk.kserve.predictor.torchserve import Workers, is_finite, last_lines, load_failure, probe, workers

ANY = Probe({"instances": [1]})


@pytest.fixture
def answering():
    """A server that gives one answer to everything; call it with (status, body), get its port."""
    servers = []

    def start(status, body):
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_workers_are_counted(answering):
    described = [{"minWorkers": 2, "workers": [{"status": "READY"}, {"status": "UNLOADING"}]}]
    assert workers(answering(200, json.dumps(described).encode()), "m") == Workers(1, 2)


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"{}"), (200, b"not json"), (200, b"[]"), (200, b"{}"), (200, b"[1]")]
)
def test_no_answer_counts_as_not_there(answering, status, body):
    assert workers(answering(status, body), "m") is None


def test_nobody_listens():
    assert workers(1, "m") is None
    with pytest.raises(ModelLoadFailed, match="got no answer"):
        probe(1, "m", ANY)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, b'{"message": "Prediction failed"}', "answered 503"),
        (200, b"nonsense", "answered no JSON"),
        (200, b'{"predictions": [NaN]}', "no finite predictions"),
        (200, b'{"predictions": [{"a": [Infinity]}]}', "no finite predictions"),
        (200, b"[1]", "no finite predictions"),
    ],
)
def test_probes_that_fail(answering, status, body, words):
    with pytest.raises(ModelLoadFailed, match=words):
        probe(answering(status, body), "m", ANY)


def test_a_probe_that_passes(answering):
    probe(answering(200, b'{"predictions": [[0, 0.25]]}'), "m", ANY)


def test_a_probe_with_predictions_passes_only_with_the_same(answering):
    port = answering(200, b'{"predictions": [[0, 0.25]]}')
    probe(port, "m", Probe({"instances": [1]}, [[0, 0.25001]]))
    with pytest.raises(
        ModelLoadFailed, match=r"other predictions .* \(predictions\[0\]\[1\] is 0.25 instead of 0.26\)"
    ):
        probe(port, "m", Probe({"instances": [1]}, [[0, 0.26]]))


def test_a_probe_answered_by_a_bottomless_list_fails(answering):
    deep = b'{"predictions": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(ModelLoadFailed, match="no JSON"):
        probe(answering(200, deep), "m", ANY)


def test_finite_values():
    assert is_finite({"a": [1, 2.5, "NaN", None, {"b": True}]})
    assert not is_finite([[float("nan")]])


def test_the_log_tells_why_a_handler_did_not_load(tmp_path):
    log = tmp_path / "log"
    assert load_failure(log) is None
    log.write_text("t [INFO ] MODEL_LOG - Failed to load model m, exception weights do not fit\n")
    assert load_failure(log) is None
    with log.open("a") as file:
        file.write("t [INFO ] MODEL_LOG - Backend worker process died.\n")
    assert load_failure(log) == "the handler failed to load: weights do not fit"
    log.write_text("t [WARN ] WorkerThread - Auto recovery failed again\n")
    assert "ended twice" in load_failure(log)


def test_last_lines(tmp_path):
    log = tmp_path / "log"
    assert last_lines(log, 2) == []
    log.write_text("t1 one\nt2 two\nt3 three 3\n")
    assert last_lines(log, 2) == ["two", "three 3"]
    assert last_lines(log, 1, stamped=False) == ["t3 three 3"]
