"""What a client gets of TorchServe's answer: on the V1 road KServe's words, with a status that tells whose fault it is.

Called by the gateway. TorchServe's errors and what becomes of them are a table in docs/compatibility/kserve.md.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pdk.kserve.ingress import v1_body
from pdk.kserve.ingress.messages import HOP_BY_HOP, ClientAnswer, HeaderPairs, error_answer
from pdk.kserve.ingress.upstream import UpstreamResponse
from pdk.kserve.predictor.routes import Backend
from pdk.kserve.predictor.torchserve import oversized_answer
from pdk.web import json_text

logger = logging.getLogger(__name__)

# Ours, or about the connection to TorchServe; everything else a handler sets goes to the client.
DROPPED_HEADERS = HOP_BY_HOP | {b"content-type", b"x-request-id", b"content-encoding"}
NO_WORKER = "has no worker to serve inference request"
PREDICTION_FAILED = "Prediction failed"
WORKER_DIED = "Worker died."
# Nothing was raised, but TorchServe cannot send what the handler returned.
WRONG_ANSWERS = {
    "Invalid model predict output": "the handler must return a list with one entry per request",
    "number of batch response mismatched": "the handler must return one entry per request",
    "Unsupported model output data type.": "the handler returned what is neither JSON, text nor bytes",
}
FORM_NEEDS = (
    "the parts of a form reach a handler only without the kserve envelope (env TS_SERVICE_ENVELOPE with an empty value)"
)


@dataclass(frozen=True)
class Asked:
    """A request as it was sent to `backend`; `form` if `body` is a multipart form; `began` in Unix seconds."""

    backend: Backend
    body: bytes
    form: bool
    began: float


def translate(response: UpstreamResponse, asked: Asked | None) -> ClientAnswer:
    """Return what the client gets; `asked` is None on TorchServe's own road, whose answers stay as they are."""
    headers = [pair for pair in response.headers if pair[0] not in DROPPED_HEADERS]
    if asked is None:
        return ClientAnswer(response.status, response.body, headers, response.header(b"content-type"))
    if response.status < 400:
        return _checked(response, headers)
    answer = _error(response, asked)
    answer.headers.extend(pair for pair in headers if pair[0] not in (b"pragma", b"cache-control", b"expires"))
    return answer


def _checked(response: UpstreamResponse, headers: HeaderPairs) -> ClientAnswer:
    # Python writes NaN and Infinity, which no JSON parser of another language reads: not an answer.
    if b"NaN" in response.body or b"Infinity" in response.body:
        try:
            json_text.parse(response.body)
        except json_text.UnsafeJson as error:
            if error.fault is json_text.Fault.CONSTANT:
                return error_answer(500, f"the model answered {error}, which is not JSON")
            logger.debug("an answer with NaN in it is not JSON at all")
    return ClientAnswer(response.status, response.body, headers)


def _error(response: UpstreamResponse, asked: Asked) -> ClientAnswer:
    """Map TorchServe's errors; its table is in docs/compatibility/kserve.md."""
    message, native = _message(response.body)
    if response.status == 413:
        return error_answer(413, message or "the request body is larger than max_request_size")
    if response.status == 503 and NO_WORKER in message:
        return error_answer(
            503, "the model is busy or restarting: no worker is free and the queue is full", retry_after=1
        )
    if response.status == 503 and native:
        return _failed(response, asked, message)
    if 400 <= response.status < 500 or response.status == 501:
        return error_answer(response.status, message or f"the model answered {response.status}")
    if response.status == 500 and native and message == WORKER_DIED:
        return _worker_died(asked)
    return error_answer(500, message or f"the model server answered {response.status}")


def _failed(response: UpstreamResponse, asked: Asked, message: str) -> ClientAnswer:
    """TorchServe says 503 to every exception of a handler, and to answers it cannot pass on."""
    where = f"the pod's log has it (request {as_text(response.header(b'x-request-id'))})"
    if message in WRONG_ANSWERS:
        return error_answer(500, f"{message.rstrip('.')}: {WRONG_ANSWERS[message]}; {where}")
    if message != PREDICTION_FAILED:
        return error_answer(500, f"{message} ({where})")
    if asked.form:
        where += f"; {FORM_NEEDS}"
    elif v1_body.misses_instances(asked.body):
        return error_answer(400, v1_body.NO_LIST)
    return error_answer(500, f"{message}: the handler raised an exception; {where}")


def _worker_died(asked: Asked) -> ClientAnswer:
    """TorchServe has one text for a worker that ended, took too long, or wrote an answer over the limit."""
    backend = asked.backend
    size = None if backend.log is None else oversized_answer(backend.log, asked.began)
    if size is not None:
        text = f"the model's answer of {size} bytes is over the max_response_size of its config.properties"
        return error_answer(500, f"{text}; ask for fewer rows at a time, or raise it")
    why = f"its process ended, or it did not answer within {backend.response_timeout:g} s"
    return error_answer(500, f"{WORKER_DIED} {why}; the pod's log of {backend.revision} tells, and it is started again")


def _message(body: bytes) -> tuple[str, bool]:
    """Return the text of an error body, and whether it has TorchServe's shape (else it is the handler's own)."""
    try:
        value = json.loads(body) if body else None
    except (ValueError, RecursionError):
        return as_text(body[:2000]), False
    if not isinstance(value, Mapping):
        return as_text(body[:2000]), False
    if "error" in value:
        return str(value["error"]), False
    native = "type" in value and "message" in value
    return str(value.get("message", as_text(body[:2000]))), native


def as_text(raw: bytes) -> str:
    """Return bytes of a message as text, whatever they are."""
    return raw.decode("utf-8", "replace")
