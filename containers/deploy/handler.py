"""The TorchServe handler: V1 requests in, churn predictions out.

TorchServe imports this file from the unpacked .mar in each of its worker processes; `deploy.py build` packs it with
`v1_request.py`, the trained weights, and the `model.py`, `features.py`, `feature_spec.json` and `model_config.json`
of the checkpoint, so a request goes through exactly the preprocessing the model was trained with.

Works with and without TorchServe's `kserve` service envelope. That envelope reads the first request of a batch and
drops the others (ts/torch_handler/request_envelope/kserve.py, 0.9.0 to 0.12.0), so batches need it off: then this
handler sees whole bodies, answers each request of a batch by itself, and one bad request does not fail the others.
TorchServe answers 503 "Prediction failed" to every exception but PredictionException, hence the explicit statuses.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import v1_request
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import PredictionException

logger = logging.getLogger(__name__)

NO_EXPLANATIONS = "this model offers no explanations: use :predict"


class CustomerChurnHandler(BaseHandler):
    """Answers every row of every request: [class], or [class, probability] when the request asks for it.

    TorchServe wants exactly one class in this module.
    """

    def initialize(self, context: Any) -> None:
        """Load code, feature spec and weights from the model folder and answer an example, so that a broken archive
        fails here (the worker never becomes ready) and not at the first request.
        """
        folder = Path(context.system_properties["model_dir"])
        self.context = context
        self.manifest = context.manifest
        self.model_yaml_config = getattr(context, "model_yaml_config", None) or {}
        self.device = torch.device("cpu")
        self.info = json.loads((folder / "archive_info.json").read_text(encoding="utf-8"))
        self.threshold = float(self.info["serving"]["threshold"])
        # Below some hundred rows a second thread costs more in waking up than it computes (10 rows: 107 us with one,
        # 112 with two; 1000 rows: 1.3 and 0.8 ms), and other workers and revisions share the machine.
        torch.set_num_threads(1)
        self.features = _load_module(folder, "features")
        self.spec = self.features.FeatureSpec.from_json((folder / "feature_spec.json").read_text(encoding="utf-8"))
        reserved = sorted({*v1_request.RESERVED} & {*self.spec.columns})
        if reserved:
            raise ValueError(f"columns called {', '.join(reserved)} cannot be asked for: V1 instances use these names")
        self.limits = v1_request.Limits(self.spec.columns, int(self.info["serving"]["max_rows"]))
        self.model = self._load_model(folder)
        self._answer(v1_request.parse_body(self.example_request(), self.limits))
        self.initialized = True
        logger.info("model %s version %s is loaded", self.info["model"], self.info["model_version"])

    def example_request(self) -> dict[str, Any]:
        """Make a V1 body any copy of this model can answer: two rows at the fitted means, with the first and the last
        category of each column, asking for probabilities and for which model answers.
        """
        columns: dict[str, list[Any]] = {name: [scale.mean] * 2 for name, scale in self.spec.numeric.items()}
        columns.update({name: [values[0], values[-1]] for name, values in self.spec.categorical.items()})
        return {
            "instances": [
                {"data": columns, "parameters": {"probabilities": True}},
                {"parameters": {"model_info": True}},
            ]
        }

    def handle(self, data: Any, context: Any) -> list[Any]:
        """Answer one batch.

        Without an envelope `data` is a list with one {"body": ...} per request, and one answer per request goes back.
        With the `kserve` envelope it is the `instances` of the only request, and the predictions go back.
        """
        self.context = context
        if self._is_describe():
            return [self.info]
        count = len(context.request_processor)
        if isinstance(data, list) and len(data) == count and all(self._is_request(entry) for entry in data):
            return self._answer_batch([entry["body"] for entry in data], context)
        if count > 1:
            raise PredictionException(
                "the kserve service envelope cannot answer a batch: serve with batchSize 1, or set TS_SERVICE_ENVELOPE "
                "to an empty value",
                HTTPStatus.INTERNAL_SERVER_ERROR,
            )
        return self._answer_enveloped(data)

    def preprocess(self, data: v1_request.ParsedRequest) -> np.ndarray[Any, Any]:
        """Encode the rows of a request: float32, (rows, features), in the order of the feature spec."""
        blocks = [self._encode(part) for part in data.parts if part.rows]
        if len(blocks) == 1:
            return blocks[0]
        return np.concatenate(blocks) if blocks else np.empty((0, 0), np.float32)

    def inference(self, data: np.ndarray[Any, Any], *args: Any, **kwargs: Any) -> np.ndarray[Any, Any]:
        """Give the probability of class 1 of each row: float64, (rows,)."""
        with torch.inference_mode():
            logits = self.model(torch.from_numpy(data))
            return torch.sigmoid(logits.reshape(len(data)).double()).numpy()

    def postprocess(self, data: tuple[v1_request.ParsedRequest, np.ndarray[Any, Any]]) -> list[Any]:
        """Turn the probabilities of one request into its predictions. NaN is an error here, never an answer."""
        request, probabilities = data
        if not np.isfinite(probabilities).all():
            row = int(np.flatnonzero(~np.isfinite(probabilities))[0])
            raise ArithmeticError(f"row {row}: the model gave no finite number for these values")
        classes = (probabilities >= self.threshold).astype(int).tolist()
        numbers = probabilities.tolist()
        predictions: list[Any] = []
        for part in request.parts:
            rows = range(part.first_row, part.first_row + part.rows)
            if part.flags.model_info:
                predictions.append(self.info)
            elif part.flags.probabilities:
                predictions.extend([classes[row], numbers[row]] for row in rows)
            else:
                predictions.extend([classes[row]] for row in rows)
        return predictions

    def _is_request(self, entry: Any) -> bool:
        """Tell a request from an instance: TorchServe's frontend calls an undivided body "body" and names no column."""
        return isinstance(entry, Mapping) and "body" in entry and not any(name in entry for name in self.spec.columns)

    def _load_model(self, folder: Path) -> torch.nn.Module:
        config = json.loads((folder / "model_config.json").read_text(encoding="utf-8"))
        model: torch.nn.Module = _load_module(folder, "model").build_model(config["n_features"], config["hparams"])
        weights = torch.load(folder / self.manifest["model"]["serializedFile"], map_location="cpu", weights_only=True)
        model.load_state_dict(weights)
        return model.eval()

    def _encode(self, part: v1_request.Part) -> np.ndarray[Any, Any]:
        try:
            columns = part.columns
            if columns is None:
                columns = self.features.rows_to_columns(part.row_objects, self.spec)
            encoded: np.ndarray[Any, Any] = self.features.encode(columns, self.spec)
            return encoded
        except self.features.RowError as error:
            place = f"row {part.first_row + error.row}" + (f", column {error.column!r}" if error.column else "")
            raise v1_request.BadRequest(f"{place}: {error.reason}") from error
        except self.features.FeatureError as error:
            raise v1_request.BadRequest(str(error)) from error

    def _answer(self, request: v1_request.ParsedRequest) -> list[Any]:
        return self.postprocess((request, self._infer(self.preprocess(request))))

    def _infer(self, features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return self.inference(features) if len(features) else np.empty(0)

    def _answer_enveloped(self, instances: Any) -> list[Any]:
        """One request whose body the envelope has opened; an error can only leave as a PredictionException."""
        if self._is_explain():
            raise PredictionException(NO_EXPLANATIONS, HTTPStatus.NOT_IMPLEMENTED)
        try:
            return self._answer(v1_request.parse_instances(instances, self.limits))
        except v1_request.BadRequest as error:
            raise PredictionException(str(error), HTTPStatus.BAD_REQUEST) from error
        except ArithmeticError as error:
            raise PredictionException(str(error), HTTPStatus.INTERNAL_SERVER_ERROR) from error

    def _answer_batch(self, bodies: Sequence[Any], context: Any) -> list[str]:
        """Answer each request of a batch with its own status; all good rows go through the model together."""
        answers: list[str] = [""] * len(bodies)
        good: list[tuple[int, v1_request.ParsedRequest, np.ndarray[Any, Any]]] = []
        for index, body in enumerate(bodies):
            context.set_response_content_type(index, "application/json")
            try:
                if context.get_request_header(index, "explain") == "True":
                    raise NotImplementedError(NO_EXPLANATIONS)
                request = v1_request.parse_body(body, self.limits)
                good.append((index, request, self.preprocess(request)))
            except (v1_request.BadRequest, NotImplementedError) as error:
                answers[index] = _refuse(context, index, error)
        probabilities = self._infer_together([features for _, _, features in good])
        for (index, request, _), numbers in zip(good, probabilities):  # noqa: B905 - Python 3.9 has no strict=
            try:
                answers[index] = self._body(request, self.postprocess((request, numbers)))
            except ArithmeticError as error:
                answers[index] = _refuse(context, index, error)
        return answers

    def _infer_together(self, blocks: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        if len(blocks) == 1:
            return [self._infer(blocks[0])]
        filled = [block for block in blocks if len(block)]
        numbers = self._infer(np.concatenate(filled)) if filled else np.empty(0)
        return np.split(numbers, np.cumsum([len(block) for block in blocks])[:-1]) if blocks else []

    def _body(self, request: v1_request.ParsedRequest, predictions: list[Any]) -> str:
        answer: dict[str, Any] = {"predictions": predictions}
        if request.flags.model_info:
            answer["model_info"] = self.info
        return json.dumps(answer, allow_nan=False)


def _refuse(context: Any, index: int, error: Exception) -> str:
    statuses = {v1_request.BadRequest: HTTPStatus.BAD_REQUEST, NotImplementedError: HTTPStatus.NOT_IMPLEMENTED}
    status = statuses.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    context.set_response_status(int(status), status.phrase, index)
    logger.warning("request %s refused with %d: %s", context.get_request_id(index), status, error)
    return json.dumps({"error": str(error)})


def _load_module(folder: Path, name: str) -> ModuleType:
    """Import `<name>.py` from the archive, and from nowhere else: `model` and `features` are names others use too."""
    module_name = f"customer_churn_{name}"
    spec = importlib.util.spec_from_file_location(module_name, folder / f"{name}.py")
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{folder / name}.py cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up while it is being executed
    spec.loader.exec_module(module)
    return module
