"""Does this archive answer? Loads a .mar as a TorchServe worker does and sends it its example.

    python gate.py NAME.mar NAME report.json generic 1

Run by `deployment/archive.py` in a process of its own. Goes through TorchServe's own model loader and Service.
`generic` or `own` says whose handler it is, the number is the batch size it will be served with.

A model that keeps the serving contract is asked the example of its signature, checked by its schemas. Where it takes
rows, with the question for its own name, with and without the `kserve` envelope, and the same finite predictions are
demanded; where it takes whole bodies, without. A handler of its own is asked as it will be served: the example of
signature.json (then checked likewise) or the body in sample-request.json; without either it has to load.

Writes {"request", "predictions", "envelope", "seconds"} of rows, else {"request", "answer", ...}, where `answer` is
null if it is no JSON or comes out otherwise the second time. `envelope`: whether the service can have the kserve
envelope, which reads JSON objects with `instances` alone, one request at a time. Any failure is a traceback and a
non-zero exit.
"""

import base64
import json
import logging
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
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


def ask(service: Service, request: Mapping[str, Any]) -> Any:
    """Send one body through the service's entry point; gives the answer, None if it is not JSON."""
    context = service.context
    context.request_ids = {0: "gate"}
    context.request_processor = [RequestProcessor({})]
    # TorchServe's frontend gives each request an object of its own, which handlers may change.
    answers = service._entry_point([{"body": json.loads(json.dumps(request))}], context)
    if not isinstance(answers, list) or len(answers) != 1:
        raise ValueError(f"the handler gave {serving_named(answers)} for one request: a list of one answer is needed")
    answer = plain(answers[0])
    status = context.get_response_status(0)[0]
    if status != 200:
        raise ValueError(f"the archive answered its own example with {status}: {answer}")
    return answer


def serving_named(answers: Any) -> str:
    """How a message names what a handler gave."""
    return f"a list of {len(answers)} answers" if isinstance(answers, list) else type(answers).__name__


def plain(answer: Any) -> Any:
    """An answer as a client reads it. Raises ValueError for NaN and infinity."""
    if isinstance(answer, (str, bytes, bytearray)):
        try:
            answer = json.loads(answer)
        except ValueError:
            return None
    try:
        return json.loads(json.dumps(answer, allow_nan=False))
    except ValueError as error:
        raise ValueError(f"the answer holds NaN or infinity, which JSON has not: {str(answer)[:500]}") from error


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


def predictions_of(answer: Any) -> list[Any]:
    """The predictions of a V1 answer. Raises ValueError."""
    if not isinstance(answer, dict) or not isinstance(answer.get("predictions"), list):
        raise ValueError(f'the archive answered its own example without a list "predictions": {answer}')
    predictions: list[Any] = answer["predictions"]
    return predictions


def can_have_envelope(signature: Signature | None, batch_size: int) -> bool:
    """Whether TorchServe's kserve envelope can serve the model."""
    if signature is None or batch_size > 1:
        return batch_size == 1
    shape = signature.shape(sys.maxsize)
    return not (shape.whole or shape.is_bytes or shape.bytes_at)


def check_generic(folder: Path, served_name: str, signature: Signature) -> dict[str, Any]:
    """Ask a model that keeps the serving contract; gives the report's request, predictions or answer, and seconds."""
    fits_input, fits_output = compiled(signature, "input"), compiled(signature, "output")
    parsed = v1_request.parse_body(dict(signature.example), signature.shape(sys.maxsize))
    demand("input", fits_input, [sendable(row) for row in parsed.rows])
    started = time.monotonic()
    service = load(folder, served_name, None)
    loaded = time.monotonic()
    request = service._entry_point.__self__.example_request()
    answer = ask(service, request)
    seconds = {"load": round(loaded - started, 3), "answer": round(time.monotonic() - loaded, 4)}
    if signature.whole:
        demand("output", fits_output, [answer])
        return {"request": request, "answer": answer if ask(service, request) == answer else None, "seconds": seconds}
    predictions = predictions_of(answer)
    demand("output", fits_output, predictions[:-1])
    enveloped = predictions_of(ask(load(folder, served_name, "kserve"), request))
    if predictions != enveloped:
        raise ValueError(f"with and without envelope the archive disagrees: {enveloped} and {predictions}")
    return {"request": request, "predictions": predictions, "seconds": seconds}


def check_own(folder: Path, served_name: str, signature: Signature | None, envelope: str | None) -> dict[str, Any]:
    """Ask an archive with a handler of its own what its author gave as an example, if anything."""
    request = dict(signature.example) if signature else sample_request(folder)
    started = time.monotonic()
    service = load(folder, served_name, envelope)
    seconds = {"load": round(time.monotonic() - started, 3)}
    if request is None:
        return {"request": None, "answer": None, "seconds": seconds}
    answer = ask(service, request)
    if signature is not None:
        whole = signature.whole
        given = [request] if whole else [as_text(item) for item in request.get("instances", [])]
        demand("input", compiled(signature, "input"), given)
        demand("output", compiled(signature, "output"), [answer] if whole else predictions_of(answer))
    return {"request": request, "answer": answer if ask(service, request) == answer else None, "seconds": seconds}


def sample_request(folder: Path) -> dict[str, Any] | None:
    """Read the body in sample-request.json, if there is one. Raises ValueError."""
    path = folder / "sample-request.json"
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"sample-request.json is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"sample-request.json must hold the object of a request, not {type(document).__name__}")
    return document


def as_text(value: Any) -> Any:
    """An instance as its schema has it: bytes as base64 text."""
    if not isinstance(value, dict):
        return value
    return value["b64"] if set(value) == {"b64"} else {name: as_text(item) for name, item in value.items()}


def enter(folder: Path) -> None:
    """Be a worker of this archive: its folder is the working directory and comes first among the modules, and what this
    program has imported from beside it stands in nobody's way.
    """
    beside = Path(__file__).resolve().parent
    for name in [name for name, module in sys.modules.items() if _lies_in(module, beside)]:
        del sys.modules[name]
    sys.path = [str(folder), *(place for place in sys.path if Path(place).resolve() != beside)]
    os.chdir(folder)


def _lies_in(module: Any, folder: Path) -> bool:
    """Whether a module is a file of the folder; what is built in has none."""
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().parent == folder


def main(archive: str, served_name: str, report: str, kind: str, batch_size: str) -> None:
    """Check the archive and write the report."""
    logging.basicConfig(level=logging.WARNING)
    os.environ.setdefault("LOG_LOCATION", tempfile.gettempdir())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(Path(archive), folder)
        target = Path(report).resolve()
        enter(folder)
        place = folder / "serving" if kind == "generic" else folder
        has_signature = kind == "generic" or (place / serving_folder.SIGNATURE).is_file()
        signature = serving_folder.read_signature(place) if has_signature else None
        envelope = can_have_envelope(signature, int(batch_size))
        if kind == "generic" and signature is not None:
            document = check_generic(folder, served_name, signature)
        else:
            document = check_own(folder, served_name, signature, "kserve" if envelope else None)
    document["envelope"] = envelope
    target.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
