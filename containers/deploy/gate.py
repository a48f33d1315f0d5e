"""Does this archive answer? Loads a .mar as a TorchServe worker does and sends it the example its handler makes.

    python gate.py customer-churn.mar customer-churn report.json

Run by `deployment/archive.py` in a process of its own. Goes through TorchServe's own model loader and Service, with
and without the `kserve` envelope, and demands the same finite predictions from both. Writes them as JSON:
{"request": ..., "predictions": [...], "seconds": {...}}; any failure is a traceback and a non-zero exit.
"""

import json
import logging
import math
import os
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import ts
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


def demand_numbers(predictions: list[Any]) -> None:
    """Refuse a prediction that is not [class, probability] with a probability between 0 and 1."""
    rows = [prediction for prediction in predictions if isinstance(prediction, list)]
    if not rows:
        raise ValueError(f"the archive predicted nothing for its own example: {predictions}")
    for row, (label, probability) in enumerate(rows):
        if label not in (0, 1) or not math.isfinite(probability) or not 0 <= probability <= 1:
            raise ValueError(f"row {row} of the example was predicted as {[label, probability]}")


def main(archive: str, served_name: str, report: str) -> None:
    """Check the archive and write the report."""
    logging.basicConfig(level=logging.WARNING)
    os.environ.setdefault("LOG_LOCATION", tempfile.gettempdir())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(Path(archive), folder)
        sys.path.insert(0, name)
        started = time.monotonic()
        service = load(folder, served_name, None)
        loaded = time.monotonic()
        request = service._entry_point.__self__.example_request()
        predictions = ask(service, request)
        answered = time.monotonic()
        enveloped = ask(load(folder, served_name, "kserve"), request)
    demand_numbers(predictions)
    if predictions != enveloped:
        raise ValueError(f"with and without envelope the archive disagrees: {enveloped} and {predictions}")
    seconds = {"load": round(loaded - started, 3), "answer": round(answered - loaded, 4)}
    document = {"request": request, "predictions": predictions, "seconds": seconds}
    Path(report).write_text(json.dumps(document, allow_nan=False), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
