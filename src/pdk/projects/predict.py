"""Asks a model: rows of a file to a V1 request, and its answer to a table; over the ingress, or in this process."""

import base64
import csv
import gzip
import importlib
import io
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pdk.base.errors import InvalidArgument, NotFound, Unavailable
from pdk.base.shipped import shipped_folder
from pdk.projects.csv_file import MISSING, number

TIMEOUT_SECONDS = 60


class Remote:
    """A served model: `address` of the ingress (host:port), the Host header it is known by, and its name."""

    def __init__(self, address: str, host: str, name: str) -> None:
        self._url = f"http://{address}/v1/models/{name}:predict"
        self._host = host
        self._name = name

    def signature(self) -> Mapping[str, Any] | None:
        """Its signature; None of a model that has a handler of its own and knows no such question."""
        try:
            answer = self.ask({"instances": [{"parameters": {"signature": True}}]})
        except InvalidArgument:
            return None
        told = answer.get("predictions", [None])[0]
        return told if isinstance(told, dict) and "input" in told else None

    def ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer. Raises InvalidArgument when it refuses, NotFound when none is served, or Unavailable."""
        headers = {"Host": self._host, "Content-Type": "application/json"}
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            raise _refusal(error, self._name) from error
        except OSError as error:
            raise Unavailable(f"no ingress answers at {self._url}: {error}; start the stack with `pdk up`") from error


class Local:
    """The model of a serving folder (or of a checkpoint that holds one), loaded into this process."""

    def __init__(self, folder: Path) -> None:
        sys.path.insert(0, str(shipped_folder() / "containers" / "deploy"))
        # The deploy container's own modules: what is served runs through them.
        names = ("serving_folder", "v1_request", "answers")
        serving_folder, v1_request, answers = map(importlib.import_module, names)
        root = folder if (folder / serving_folder.SIGNATURE).exists() else folder / "serving"
        try:
            self._served = serving_folder.load(root)
            self._shape = self._served.signature.shape(sys.maxsize)
        except serving_folder.FolderError as error:
            raise InvalidArgument(f"{root} cannot be asked: {error}") from error
        self._parse = v1_request.parse_body
        self._refusals = (v1_request.BadRequest, serving_folder.BadInput)
        self._folder, self._answers = serving_folder, answers

    def signature(self) -> Mapping[str, Any] | None:
        """Its signature."""
        document: Mapping[str, Any] = self._served.signature.document
        return document

    def ask(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer. Raises InvalidArgument with the model's reason."""
        try:
            with self._folder.working_directory(self._served.folder):
                answer = self._served.answer(self._parse(json.loads(json.dumps(body)), self._shape))
        except self._refusals as error:
            raise InvalidArgument(str(error)) from error
        except self._answers.ModelFailed as error:
            raise InvalidArgument(f"the model failed: {error}") from error
        plain = json.loads(self._answers.to_json({"predictions": answer}))
        return dict(plain["predictions"]) if self._shape.whole else dict(plain)


def request_of(path: Path, signature: Mapping[str, Any] | None, *, probabilities: bool) -> dict[str, Any]:
    """A V1 body from a file: JSON as it is, a CSV's rows typed by the signature, or any file as bytes.

    Raises InvalidArgument naming file, row and column.
    """
    if not path.is_file():
        raise InvalidArgument(f"{path}: no such file")
    body = _json_body(path) if path.suffix == ".json" else _instances(path, signature)
    if probabilities and "probabilities" in (signature or {}).get("parameters", {}):
        body["parameters"] = {**body.get("parameters", {}), "probabilities": True}
    return body


def _instances(path: Path, signature: Mapping[str, Any] | None) -> dict[str, Any]:
    if signature is None:
        raise InvalidArgument(f"{path}: this model does not say what its columns are: send JSON")
    if signature["input"].get("contentEncoding") == "base64":
        return {"instances": [{"b64": base64.b64encode(path.read_bytes()).decode()}]}
    return {"instances": _csv_rows(path, signature)}


def rows_of(body: Mapping[str, Any]) -> list[Any]:
    """The instances of a body, those by column as rows."""
    rows: list[Any] = []
    for instance in body.get("instances", ()):
        data = instance.get("data") if isinstance(instance, dict) else None
        if not isinstance(data, dict):
            rows.append(instance)
            continue
        columns = {name: list(v.values()) if isinstance(v, dict) else v for name, v in data.items()}
        rows += [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return rows


def _json_body(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidArgument(f"{path} is not JSON: {error}") from error
    if isinstance(document, list):
        return {"instances": document}
    if not isinstance(document, dict):
        raise InvalidArgument(f"{path} must hold rows, or an object with instances")
    return document


def _csv_rows(path: Path, signature: Mapping[str, Any]) -> list[Any]:
    rules = {"separator": ",", "encoding": "utf-8", "decimal": ".", "strip": False, **signature.get("csv", {})}
    encoding = "utf-8-sig" if rules["encoding"] == "utf-8" else rules["encoding"]
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        lines = list(
            csv.reader(io.StringIO(raw.decode(encoding), newline=""), delimiter=rules["separator"], strict=True)
        )
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgument(f"{path} is not CSV as this model's data is written: {error}") from error
    rows = [[cell.strip() for cell in line] if rules["strip"] else line for line in lines if line]
    if len(rows) < 2:
        raise InvalidArgument(f"{path} has no rows below its header")
    properties = signature["input"].get("properties") or {}
    return [_typed(dict(zip(rows[0], row, strict=False)), properties, rules) for row in rows[1:]]


def _typed(cells: Mapping[str, str], properties: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
    """One row's cells as what the signature says of their columns; others are left out."""
    row: dict[str, Any] = {}
    for name, schema in properties.items():
        if name not in cells:
            continue  # the model says that it is missing, and in which row
        text = cells[name]
        kinds = schema.get("type", ())
        if "number" in kinds or "integer" in kinds:
            value = number(text, rules["decimal"])
            row[name] = None if text in MISSING else text if value is None else value
        else:
            row[name] = None if text in MISSING and text not in schema.get("enum", ()) else text
    return row


def table_of(rows: Sequence[Any], predictions: Sequence[Any], shown: int = 4) -> tuple[list[str], list[list[str]]]:
    """Header and lines of a table: the row's number, its first columns, what the model answers."""
    names = list(rows[0])[:shown] if rows and isinstance(rows[0], dict) else []
    lines = []
    for index, prediction in enumerate(predictions):
        row = rows[index] if index < len(rows) and isinstance(rows[index], dict) else {}
        answer = prediction if isinstance(prediction, list) else [prediction]
        lines.append([str(index), *(_cell(row.get(name, "")) for name in names), *map(_cell, answer)])
    width = max(map(len, lines), default=1)
    header = ["row", *names, *["answer", "probability"][: width - 1 - len(names)]]
    header += [""] * (width - len(header))
    return header, [line + [""] * (width - len(line)) for line in lines]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " ".join(map(_cell, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)[:60]


def _refusal(error: urllib.error.HTTPError, name: str) -> Exception:
    text = error.read().decode(errors="replace")
    try:
        document = json.loads(text)
        reason = str(document.get("error") or document.get("detail") or text)
    except (ValueError, AttributeError):
        reason = text.strip()
    if error.code == 404:
        return NotFound(f"no model {name!r} is served: {reason}; `pdk status` shows what serves")
    if error.code == 503:
        return Unavailable(f"model {name!r} does not answer: {reason}; `pdk status` says why")
    return InvalidArgument(f"model {name!r} refuses ({error.code}): {reason}")
