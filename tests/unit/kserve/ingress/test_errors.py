"""What a client is told when the model, its server or a revision fails."""

import socket
import time

import pytest
from ingress_bench import HOST, PREDICT, http_answer, native_error

from pdk.base.clock import rfc3339_now
from pdk.kserve.predictor.routes import Backend, ServiceRoute


@pytest.mark.parametrize(
    ("answer", "body", "status", "words"),
    [
        (native_error(400, "row 0, column 'x': bad"), '{"instances": [1]}', 400, "row 0, column 'x': bad"),
        (native_error(501, "no explanations"), '{"instances": [1]}', 501, "no explanations"),
        (http_answer(400, b'{"error": "own shape"}'), '{"instances": [1]}', 400, "own shape"),
        (http_answer(503, b'{"error": "own refusal"}'), '{"instances": [1]}', 500, "own refusal"),
        (native_error(503, "Prediction failed"), '{"instances": [1]}', 500, "Prediction failed: the handler raised"),
        (native_error(503, "Prediction failed"), '{"inputs": []}', 400, 'Expected "instances" to be a list'),
        (native_error(503, "own words"), '{"instances": [1]}', 500, "own words (the pod's log has it (request ts-id)"),
        (native_error(503, "Invalid model predict output"), '{"instances": [1]}', 500, "must return a list"),
        (native_error(503, "number of batch response mismatched"), "{}", 500, "must return one entry per request"),
        (native_error(503, "Unsupported model output data type."), "{}", 500, "neither JSON, text nor bytes"),
        (native_error(500, "Worker died."), '{"instances": [1]}', 500, "did not answer within 120 s"),
        (http_answer(413), '{"instances": [1]}', 413, "max_request_size"),
        (http_answer(500, b"<html>"), '{"instances": [1]}', 500, "<html>"),
        (http_answer(200, b'{"predictions": [NaN]}'), '{"instances": [1]}', 500, "answered NaN"),
    ],
)
def test_torchserve_errors_are_mapped(ask, model, answer, body, status, words):
    model.answer = answer
    found, headers, value = ask("POST", PREDICT, body)
    assert (found, headers["content-type"]) == (status, "application/json")
    assert words in value["error"]


def test_an_answer_over_the_limit_is_no_dead_worker(ask, routes, model, tmp_path):
    log = tmp_path / "pod.log"
    line = (
        "{} [ERROR] epoll org.pytorch.serve.wlm.WorkerThread - Unknown exception io.netty.handler.codec."
        "TooLongFrameException: Message size exceed limit: {}\nConsider increasing the 'max_response_size'\n"
    )
    logged = Backend("churn-predictor-00001", model.port, ("churn",), log=log)
    routes.set(ServiceRoute("default", "churn", (HOST,), ((logged, 100),)))
    log.write_text(line.format(rfc3339_now(), 6_553_501))

    def die(seen):
        log.write_text(log.read_text() + line.format(rfc3339_now(), 7_000_033))
        return native_error(500, "Worker died.")

    model.answer = die
    status, _, value = ask("POST", PREDICT, '{"instances": [1]}')
    assert status == 500
    assert value["error"].startswith("the model's answer of 7000033 bytes is over the max_response_size")
    # What an earlier request met is not this one's cause.
    model.answer = native_error(500, "Worker died.")
    time.sleep(0.01)
    assert ask("POST", PREDICT, '{"instances": [1]}')[2]["error"].startswith("Worker died. its process ended, or")


def test_nan_in_a_text_is_no_nan(ask, model):
    model.answer = http_answer(200, b'{"predictions": ["NaN"]}')
    assert ask("POST", PREDICT, '{"instances": [1]}')[::2] == (200, {"predictions": ["NaN"]})


def test_a_full_queue_says_when_to_come_back(ask, model):
    text = 'Model "churn" has no worker to serve inference request. Please use scale workers API to add workers.'
    model.answer = native_error(503, text, "ServiceUnavailableException")
    status, headers, _ = ask("POST", PREDICT, '{"instances": [1]}')
    assert (status, headers["retry-after"]) == (503, "1")


def test_no_ready_revision(ask, routes, model):
    routes.set(
        ServiceRoute("default", "churn", (HOST,), (), ("churn",), "revision churn-predictor-00001 is loading its model")
    )
    for method, path, body in (("POST", PREDICT, "{}"), ("GET", "/v1/models/churn", None)):
        status, headers, value = ask(method, path, body)
        assert (status, headers["retry-after"]) == (503, "2")
        assert "is loading its model" in value["error"]
    assert ask("GET", "/v1/models/other")[0] == 404
    assert model.seen == []


def test_a_revision_that_cannot_be_reached(ask, routes):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = Backend("churn-predictor-00001", unused.getsockname()[1], ("churn",))
        told = []
        routes.report_unreachable = told.append
        routes.set(ServiceRoute("default", "churn", (HOST,), ((gone, 100),)))
        status, headers, value = ask("POST", PREDICT, "{}")
    assert (status, headers["retry-after"]) == (503, "1")
    assert "churn-predictor-00001" in value["error"]
    assert told == ["default/churn"]


def test_a_broken_answer_is_not_repeated(ask, model):
    model.answer = None
    status, _, value = ask("POST", PREDICT, '{"instances": [1]}')
    assert status == 502
    assert "not repeated" in value["error"]
    assert len(model.seen) == 1
    model.answer = b"garbage\r\n\r\n"
    assert ask("POST", PREDICT, '{"instances": [1]}')[0] == 502


def test_a_slow_model(ask, routes, model, monkeypatch):
    monkeypatch.setattr("pdk.kserve.ingress.upstream.GRACE_SECONDS", 0.0)
    slow = Backend("churn-predictor-00001", model.port, ("churn",), response_timeout=0.2)
    routes.set(ServiceRoute("default", "churn", (HOST,), ((slow, 100),)))
    model.answer = lambda seen: time.sleep(1)
    status, _, value = ask("POST", PREDICT, "{}")
    assert (status, value) == (504, {"error": "revision churn-predictor-00001 did not answer within 0.2 s"})
    assert routes.in_flight("churn-predictor-00001", model.port) == 0


def test_container_concurrency(ask, routes, model):
    limited = Backend("churn-predictor-00001", model.port, ("churn",), max_in_flight=1)
    routes.set(ServiceRoute("default", "churn", (HOST,), ((limited, 100),)))
    routes.acquire("default/churn")
    status, headers, value = ask("POST", PREDICT, "{}")
    assert (status, headers["retry-after"]) == (503, "1")
    assert "containerConcurrency" in value["error"]
