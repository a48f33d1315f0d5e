"""Does this archive answer? Loads a .mar as a TorchServe worker does and sends it the example its handler makes.

    python gate.py customer-churn.mar customer-churn report.json

Run by `deployment/archive.py` in a process of its own. Goes through TorchServe's own model loader and Service, with
and without the `kserve` envelope, and demands the same finite predictions from both. Writes them as JSON:
{"request": ..., "predictions": [...], "seconds": {...}}; any failure is a traceback and a non-zero exit.
"""

import base64
import json
import logging
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fastjsonschema
import serving_folder
import ts
import v1_request
from serving_folder import Signature
from ts.context import RequestProcessor
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
from ts.model_loader import TsModelLoader
from ts.service import Service

METRICS = Path(ts.__file__).parent / "configs" / "metrics.yaml"
LARGEST_ARCHIVE = 4 * 1024**3


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the archive, refusing names that leave the folder and sizes nobody meant."""
    with zipfile.ZipFile(archive) as bundle:
        if sum(item.file_size for item in bundle.infolist()) > LARGEST_ARCHIVE:
            raise ValueError(f"{archive} unpacks to more than {LARGEST_ARCHIVE} bytes")
        for item in bundle.infolist():
            if not (folder / item.filename).resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"{archive} holds {item.filename!r}, which leaves its folder")
        bundle.extractall(folder)


def load(folder: Path, served_name: str, envelope: str | None) -> Service:
    """Load the unpacked archive; TorchServe finds handler and helpers because the folder is on the module path."""
    metrics = MetricsCacheYamlImpl(config_file_path=str(METRICS))
    metrics.initialize_cache()
    manifest = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_text(encoding="utf-8"))
    handler = manifest["model"]["handler"]
    return TsModelLoader().load(served_name, str(folder), handler, None, 1, envelope, True, metrics)


def ask(service: Service, request: dict[str, Any]) -> list[Any]:
    """Send one V1 body through the service's entry point; gives its predictions."""
    context = service.context
    context.request_ids = {0: "gate"}
    context.request_processor = [RequestProcessor({})]
    answers = service._entry_point([{"body": request}], context)
    answer = json.loads(answers[0]) if isinstance(answers[0], str) else answers[0]
    status = context.get_response_status(0)[0]
    if status != 200 or "predictions" not in answer:
        raise ValueError(f"the archive answered its own example with {status}: {answer}")
    predictions: list[Any] = answer["predictions"]
    return predictions


def compiled(signature: Signature, what: str) -> Callable[[Any], Any]:
    """Make a validator of one of the signature's schemas. Raises ValueError if it is none."""
    try:
        check: Callable[[Any], Any] = fastjsonschema.compile(getattr(signature, what))
    except (fastjsonschema.JsonSchemaDefinitionException, SyntaxError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"signature.json: {what} is no JSON Schema: {error}") from error
    return check


def demand(what: str, check: Callable[[Any], Any], values: Sequence[Any]) -> None:
    """Refuse the first value that does not fit its schema."""
    for number, value in enumerate(values):
        try:
            check(value)
        except fastjsonschema.JsonSchemaValueException as error:
            reason, shown = error.message.replace("data", what, 1), json.dumps(value)[:200]
            raise ValueError(
                f"signature.json: {what} does not fit row {number} of the example: {reason}: {shown}"
            ) from error


def sendable(value: Any) -> Any:
    """A row as a client sends it: bytes as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return {name: sendable(item) for name, item in value.items()} if isinstance(value, dict) else value


def main(archive: str, served_name: str, report: str) -> None:
    """Check the archive and write the report."""
    logging.basicConfig(level=logging.WARNING)
    os.environ.setdefault("LOG_LOCATION", tempfile.gettempdir())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(Path(archive), folder)
        sys.path.insert(0, name)
        signature = serving_folder.read_signature(folder / "serving")
        fits_input, fits_output = compiled(signature, "input"), compiled(signature, "output")
        shape = signature.shape(sys.maxsize)
        demand(
            "input", fits_input, [sendable(row) for row in v1_request.parse_body(dict(signature.example), shape).rows]
        )
        started = time.monotonic()
        service = load(folder, served_name, None)
        loaded = time.monotonic()
        request = service._entry_point.__self__.example_request()
        predictions = ask(service, request)
        answered = time.monotonic()
        demand("output", fits_output, predictions[:-1])
        enveloped = ask(load(folder, served_name, "kserve"), request)
    if predictions != enveloped:
        raise ValueError(f"with and without envelope the archive disagrees: {enveloped} and {predictions}")
    seconds = {"load": round(loaded - started, 3), "answer": round(answered - loaded, 4)}
    document = {"request": request, "predictions": predictions, "seconds": seconds}
    Path(report).write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
