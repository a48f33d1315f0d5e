"""The TorchServe handler of any model that keeps the serving contract: V1 requests in, the model's predictions out.

TorchServe imports this file from the unpacked .mar in each of its worker processes; `deploy.py build` packs it with
the modules it imports, `archive_info.json` and, below `serving/`, the folder the experiment left in its checkpoint.
The model's own code knows nothing of TorchServe.

Works with and without TorchServe's `kserve` service envelope. That envelope reads the first request of a batch and
drops the others (ts/torch_handler/request_envelope/kserve.py, 0.9.0 to 0.12.0), so batches need it off, as do files
and models that take whole bodies: then this handler sees whole bodies, answers each request of a batch by itself, and
one bad request does not fail the others.
TorchServe answers 503 "Prediction failed" to every exception but PredictionException, hence the explicit statuses.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import serving_folder
import v1_request
from answers import ModelFailed, to_json
from batch import Good, joined, split
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import PredictionException

logger = logging.getLogger(__name__)

# With the envelope TorchServe writes an answer with a line and its indent for every value, so it may be so many times
# as long (for values of one digit, six lists deep).
WIDENED = 16
NO_EXPLANATIONS = "this model offers no explanations: use :predict"


class ModelHandler(BaseHandler):
    """Answers every row of every request with what the folder's model says.

    TorchServe wants exactly one class in this module.
    """

    def initialize(self, context: Any) -> None:
        """Load the model and answer its example, so that a broken archive fails here (the worker never becomes ready)
        and not at the first request.
        """
        root = Path(context.system_properties["model_dir"])
        self.context = context
        self.manifest = context.manifest
        self.model_yaml_config = getattr(context, "model_yaml_config", None) or {}
        self.info = json.loads((root / "archive_info.json").read_text(encoding="utf-8"))
        limits = self.info["serving"]
        self.max_answer = int(limits["max_response_bytes"])
        _use_one_thread()
        self.served = serving_folder.load(root / "serving")
        self.shape = self.served.signature.shape(int(limits["max_rows"]))
        os.chdir(self.served.folder)  # this process serves one model
        self.served.answer(v1_request.parse_body(self.example_request(), self.shape))
        self.initialized = True
        logger.info("model %s version %s is loaded", self.info["model"], self.info["model_version"])

    def example_request(self) -> dict[str, Any]:
        """The example of the signature, asking for which model answers as well if it has instances."""
        example = dict(self.served.signature.example)
        if not self.served.signature.whole:
            example["instances"] = [*example["instances"], {"parameters": {"model_info": True}}]
        return example

    def handle(self, data: Any, context: Any) -> list[Any]:
        """Answer one batch.

        Without an envelope `data` is a list with one {"body": ...}, or one {part: bytes} of a form, per request, and
        one answer per request goes back. With the `kserve` envelope it is the `instances` of the only request, and
        the predictions go back.
        """
        self.context = context
        if self._is_describe():
            return [self.info]
        count = len(context.request_processor)
        if isinstance(data, list) and len(data) == count and all(self._is_request(entry) for entry in data):
            return self._answer_batch(data, context)
        if count > 1:
            raise PredictionException(
                "the kserve service envelope cannot answer a batch: serve with batchSize 1, or set TS_SERVICE_ENVELOPE "
                "to an empty value",
                HTTPStatus.INTERNAL_SERVER_ERROR,
            )
        return self._answer_enveloped(data, context)

    def _is_request(self, entry: Any) -> bool:
        """Tell a request from an instance: TorchServe's frontend calls an undivided body "body", and no property of a
        model's input is called so; the parts of a form are bytes, which no JSON holds.
        """
        if not isinstance(entry, Mapping):
            return False
        if "body" in entry:
            return not any(name in entry for name in self.shape.names or ())
        return bool(entry) and all(isinstance(value, (bytes, bytearray)) for value in entry.values())

    def _answer_enveloped(self, instances: Any, context: Any) -> list[Any]:
        """One request whose body the envelope has opened; an error can only leave as a PredictionException."""
        if self._is_explain():
            raise PredictionException(NO_EXPLANATIONS, HTTPStatus.NOT_IMPLEMENTED)
        request = None
        try:
            request = v1_request.parse_instances(instances, self.shape)
            answer = self._with_questions(request, self.served.answer(request))
            text = self._text({"predictions": answer})  # the envelope writes it itself, and would let NaN out
            plain: list[Any] = json.loads(text)["predictions"] if _is_foreign(answer) else answer
            if len(text) > self.max_answer // WIDENED:
                self._demand_size(json.dumps({"predictions": plain}, indent=2))
        except (ValueError, RuntimeError) as error:
            status, reason = _verdict(context, 0, error, request)
            raise PredictionException(reason, status) from error
        return plain

    def _answer_batch(self, entries: Sequence[Mapping[str, Any]], context: Any) -> list[str]:
        """Answer each request of a batch with its own status; all good rows go through the model together."""
        answers: list[str] = [""] * len(entries)
        good: list[Good] = []
        for index, entry in enumerate(entries):
            context.set_response_content_type(index, "application/json")
            request = None
            try:
                if context.get_request_header(index, "explain") == "True":
                    raise NotImplementedError(NO_EXPLANATIONS)
                request = self._parse(entry)
                rows = request.rows[0] if self.shape.whole else request.rows
                empty = not request.rows
                good.append(Good(index, request, None if empty else self.served.preprocess(rows, request.parameters)))
            except (ValueError, RuntimeError) as error:  # of ours: the model's own are sorted by then
                answers[index] = _refuse(context, index, error, request)
        for each, outputs in zip(good, self._predict_together(good)):  # noqa: B905 - Python 3.9 has no strict=
            try:
                if isinstance(outputs, Exception):
                    raise outputs
                answers[each.place] = self._body(each.request, outputs)
            except (ValueError, RuntimeError) as error:
                answers[each.place] = _refuse(context, each.place, error, each.request)
        return answers

    def _parse(self, entry: Mapping[str, Any]) -> v1_request.ParsedRequest:
        if "body" not in entry:
            return v1_request.parse_form(entry, self.shape)
        body = entry["body"]
        if self.shape.is_bytes and isinstance(body, (bytes, bytearray)) and body.lstrip()[:1] != b"{":
            return v1_request.parse_form({"body": body}, self.shape)  # a file sent as it is
        return v1_request.parse_body(body, self.shape)

    def _predict_together(self, good: Sequence[Good]) -> list[Any]:
        """What `predict` gives for each request, or its exception; in one call where the inputs can be joined."""
        inputs = joined([each.inputs for each in good], [len(each.request.rows) for each in good])
        if inputs is not None:
            try:
                outputs = split(self.served.predict(inputs), [len(each.request.rows) for each in good])
            except (serving_folder.BadInput, ModelFailed):
                outputs = None  # of one of them: asked alone, it fails alone
            if outputs is not None:
                return outputs
        return [self._predict_alone(each) for each in good]

    def _predict_alone(self, each: Good) -> Any:
        if not each.request.rows:
            return []
        try:
            return self.served.predict(each.inputs)
        except (serving_folder.BadInput, ModelFailed) as error:
            return error

    def _body(self, request: v1_request.ParsedRequest, outputs: Any) -> str:
        """The text of the answer to one request."""
        predictions = self.served.finish(request, outputs) if request.rows else []
        if self.shape.whole:
            return self._text(predictions)
        answer: dict[str, Any] = {"predictions": self._with_questions(request, predictions)}
        answer.update({about: self._told(about) for about in request.asked})
        return self._text(answer)

    def _text(self, answer: Any) -> str:
        text = to_json(answer)
        self._demand_size(text)
        return text

    def _demand_size(self, text: str) -> None:
        if len(text) > self.max_answer:  # TorchServe would say "Worker died." and start the worker anew
            raise ModelFailed(
                f"the answer has {len(text)} bytes, the limit of this server is {self.max_answer} "
                "(max_response_size): ask for fewer rows at a time"
            )

    def _with_questions(self, request: v1_request.ParsedRequest, predictions: Any) -> Any:
        """Put what was asked of the server among the predictions, where it was asked."""
        if not request.questions:
            return predictions
        answer = list(predictions)
        for number, (before, about) in enumerate(request.questions):
            answer.insert(before + number, self._told(about))
        return answer

    def _told(self, about: str) -> Any:
        return self.info if about == "model_info" else self.served.signature.document


def _refuse(context: Any, index: int, error: Exception, request: v1_request.ParsedRequest | None) -> str:
    status, text = _verdict(context, index, error, request)
    context.set_response_status(int(status), status.phrase, index)
    logger.warning("request %s refused with %d: %s", context.get_request_id(index), status, error)
    return json.dumps({"error": text})


def _verdict(
    context: Any, index: int, error: Exception, request: v1_request.ParsedRequest | None
) -> tuple[HTTPStatus, str]:
    """Whose fault an error is, and what the client is told."""
    if isinstance(error, NotImplementedError):
        return HTTPStatus.NOT_IMPLEMENTED, str(error)
    if isinstance(error, (v1_request.BadRequest, serving_folder.BadInput)):
        return HTTPStatus.BAD_REQUEST, str(error)
    # TorchServe reads NaN and numbers beyond a double in a JSON body; a model that cannot is not at fault.
    reason = v1_request.not_finite(request.rows) if request is not None else None
    if reason is not None:
        return HTTPStatus.BAD_REQUEST, reason
    return HTTPStatus.INTERNAL_SERVER_ERROR, _fault(context, index, error)


def _fault(context: Any, index: int, error: Exception) -> str:
    """What a client is told of the model's fault; the log has the traceback under the request's id."""
    request_id = context.get_request_id(index)
    logger.error("request %s: %s", request_id, error, exc_info=error)
    return f"{error} (request {request_id})"


def _is_foreign(answer: Any) -> bool:
    """Whether the envelope could not write an answer: anything but lists, objects and plain values."""
    plain = (str, int, float, bool, type(None))
    if isinstance(answer, list):
        return any(map(_is_foreign, answer))
    if type(answer) is dict:
        return any(map(_is_foreign, answer.values()))
    return type(answer) not in plain


def _use_one_thread() -> None:
    """Below some hundred rows a second thread costs more in waking up than it computes (10 rows: 107 us with one, 112
    with two; 1000 rows: 1.3 and 0.8 ms), and other workers and revisions share the machine.
    """
    import torch  # noqa: PLC0415 - TorchServe has loaded it

    torch.set_num_threads(1)
