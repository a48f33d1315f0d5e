"""A serving folder: what an experiment leaves under `serving/` of its checkpoint, and how its model is asked.

    model.py            class Model, with predict(inputs) and, each if it likes, __init__(folder, config), load(),
                        preprocess(inputs), preprocess_columns(columns), postprocess(outputs)
    signature.json      what goes in and what comes out, see `Signature`
    config.yaml         what `__init__` gets as `config` (optional)
    requirements.txt    what it needs beside the serving image (optional)
    anything else       weights, modules, data

Used by the TorchServe handler, by the build, and wherever a model is asked without a server. Needs the standard library
alone, and PyYAML where there is a config.yaml; runs on the Python of the serving image (3.9 and newer).

`inputs` are the instances of one request. A model that works by column may have preprocess_columns as well: it gets
{name: values} of a request that came so, which spares making rows and taking them apart again.

The folder's own code runs with the folder as working directory and on the module path. `InvalidInput(reason)` and
`RowError(row, column, reason)` are known by their names, so that a folder need not import anything to say them.

Errors::

    FolderError(ValueError)   the folder is no serving folder, or its model cannot be loaded
    BadInput(ValueError)      the request is at fault: the client's error
    answers.ModelFailed(RuntimeError) the model is at fault
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import v1_request
from answers import ModelFailed, named, plain_list

SIGNATURE = "signature.json"
MODEL = "model.py"
TASKS = ("classification", "regression", "free")
_KEYS = {"task", "input", "output", "example", "body", "parameters", "classes", "csv"}


class FolderError(ValueError):
    """The folder is no serving folder, or its model cannot be loaded."""


class BadInput(ValueError):
    """The request is at fault; the text says where and why."""


class Signature(NamedTuple):
    """`signature.json`: {task, input, output, example} and, optional, {body, parameters, classes, csv}.

    `input` and `output` are JSON Schemas (draft 7) of one instance and one prediction; `example` is a request the model
    answers. `whole`: the model takes the JSON object of the body and gives the whole answer.
    `document`: the file itself.
    """

    task: str
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    example: Mapping[str, Any]
    whole: bool
    parameters: Mapping[str, Any]
    document: Mapping[str, Any]

    def shape(self, max_rows: int) -> v1_request.Shape:
        """How requests for this model are taken apart. Raises FolderError for a property no request could name."""
        objects = self.input.get("type") == "object"
        properties = self.input.get("properties") or {}
        reserved = sorted({*v1_request.RESERVED} & {*properties})
        if reserved and not self.whole:
            raise FolderError(
                f"{SIGNATURE}: columns called {', '.join(reserved)} cannot be asked for: V1 instances use these names"
            )
        return v1_request.Shape(
            objects=objects and not self.whole,
            names=tuple(properties) or None,
            bytes_at=tuple(name for name, schema in properties.items() if _is_bytes(schema)),
            is_bytes=_is_bytes(self.input),
            parameters=self.parameters,
            whole=self.whole,
            max_rows=max_rows,
        )


def read_signature(folder: Path) -> Signature:
    """Read and check the signature's form; the schemas themselves are checked by the build. Raises FolderError."""
    document = _read_json(folder / SIGNATURE)
    fault = next(_faults(document), None)
    if fault is not None:
        raise FolderError(f"{SIGNATURE}: {fault}")
    return Signature(
        task=document["task"],
        input=document["input"],
        output=document["output"],
        example=document["example"],
        whole=document.get("body") == "whole",
        parameters=document.get("parameters", {}),
        document=document,
    )


def _faults(document: Mapping[str, Any]) -> Iterator[str]:
    unknown = sorted(set(document) - _KEYS)
    if unknown:
        yield f"unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}"
    if document.get("task") not in TASKS:
        yield f"task must be one of {', '.join(TASKS)}, not {document.get('task')!r}"
    for key in ("input", "output", "example"):
        if not isinstance(document.get(key), dict):
            yield f"{key} must be an object, not {document.get(key)!r:.60}"
    if document.get("body", "rows") not in ("rows", "whole"):
        yield f"body must be 'rows' or 'whole', not {document['body']!r}"
    parameters = document.get("parameters", {})
    if not isinstance(parameters, dict) or not all(isinstance(schema, dict) for schema in parameters.values()):
        yield "parameters must be JSON Schemas by name"
    elif {*parameters} & {*v1_request.QUESTIONS}:
        yield f"parameters may not be called {' or '.join(v1_request.QUESTIONS)}: the server answers these itself"


def read_config(folder: Path) -> dict[str, Any]:
    """Read config.yaml, {} where there is none. Raises FolderError."""
    path = folder / "config.yaml"
    if not path.exists():
        return {}
    import yaml  # noqa: PLC0415 - only a folder that has the file needs it

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FolderError(f"config.yaml cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise FolderError(f"config.yaml must hold keys and values, not {type(config).__name__}")
    return config


class Served:
    """A loaded model and its folder; the three steps of an answer, with errors sorted into whose fault they are."""

    def __init__(self, folder: Path, signature: Signature, model: Any, hidden: Mapping[str, ModuleType]) -> None:
        self.folder = folder
        self.signature = signature
        self.model = model
        self._hidden = hidden
        self._preprocess = _step(model, "preprocess")
        self._by_column = _step(model, "preprocess_columns")
        self._postprocess = _step(model, "postprocess")

    def preprocess(self, rows: Any, parameters: Sequence[Mapping[str, Any]] | None) -> Any:
        """From the rows of one request to what `predict` takes. Raises BadInput or ModelFailed."""
        if isinstance(rows, v1_request.ColumnRows):
            if self._by_column is not None:
                return self._run("preprocess", self._by_column, rows.columns, parameters)
            rows = rows.all()
        return rows if self._preprocess is None else self._run("preprocess", self._preprocess, rows, parameters)

    def predict(self, inputs: Any) -> Any:
        """The model itself, on what `preprocess` gave. Raises BadInput or ModelFailed."""
        return self._run("predict", lambda given, _: self.model.predict(given), inputs, None)

    def postprocess(self, outputs: Any, parameters: Sequence[Mapping[str, Any]] | None) -> Any:
        """From what `predict` gave for one request to its predictions. Raises BadInput or ModelFailed."""
        return (
            outputs if self._postprocess is None else self._run("postprocess", self._postprocess, outputs, parameters)
        )

    def answer(self, request: v1_request.ParsedRequest) -> Any:
        """All three steps for one request: its predictions as a list, or the whole answer. Raises as they do."""
        rows: Any = request.rows[0] if self.signature.whole else request.rows
        outputs = self.predict(self.preprocess(rows, request.parameters))
        return self.finish(request, outputs)

    def finish(self, request: v1_request.ParsedRequest, outputs: Any) -> Any:
        """Postprocess the outputs of one request and check what comes out of it. Raises BadInput or ModelFailed."""
        given = self.postprocess(outputs, request.parameters)
        if self.signature.whole:
            return self._whole(given)
        predictions = plain_list(given)
        if predictions is None:
            raise ModelFailed(f"the model answered with {named(given)}, not with a list of one prediction per row")
        if len(predictions) != len(request.rows):
            raise ModelFailed(
                f"the model gave {len(predictions)} predictions for {len(request.rows)} rows: one per row is needed"
            )
        return predictions

    def _whole(self, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise ModelFailed(f"the model answered with {named(given)}, not with an object (its signature says whole)")
        return given

    def _run(self, step: str, call: Callable[[Any, Any], Any], given: Any, parameters: Any) -> Any:
        try:
            return call(given, parameters)
        except Exception as error:
            reason = _refusal(error, step)
            if reason is not None:
                raise BadInput(reason) from error
            raise ModelFailed(f"{step} raised {type(error).__name__}: {error}") from error

    def unload(self) -> None:
        """Forget the folder's modules, so that another folder can be loaded in this process."""
        _forget(self.folder)
        sys.modules.update(self._hidden)


def load(folder: Path) -> Served:
    """Load the model of a serving folder. Raises FolderError, with what its code raised as the cause."""
    folder = folder.resolve()
    signature = read_signature(folder)
    config = read_config(folder)
    hidden = _hide(folder)
    sys.path.insert(0, str(folder))
    try:
        with working_directory(folder):
            model = _make(_import(folder), folder, config)
            if hasattr(model, "load"):
                _tried("load", model.load)
    except BaseException:
        _forget(folder)
        sys.modules.update(hidden)
        raise
    return Served(folder, signature, model, hidden)


@contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    """The working directory of a model's own code. A process that serves one model stays there for good."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _import(folder: Path) -> ModuleType:
    path = folder / MODEL
    if not path.is_file():
        raise FolderError(f"{MODEL} is missing: it holds the class Model")
    spec = importlib.util.spec_from_file_location("serving_model", path)
    if spec is None or spec.loader is None:
        raise FolderError(f"{MODEL} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules["serving_model"] = module  # dataclasses look their module up while it is being executed
    loader = spec.loader
    _tried(f"importing {MODEL}", lambda: loader.exec_module(module))
    return module


def _hide(folder: Path) -> dict[str, ModuleType]:
    """Take modules of others that are called like files of the folder out of the way, so that its own are imported."""
    names = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    others = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in names}
    for name in others:
        del sys.modules[name]
    return others


def _forget(folder: Path) -> None:
    for name in [name for name, module in sys.modules.items() if _lies_in(module, folder)]:
        del sys.modules[name]
    while str(folder) in sys.path:
        sys.path.remove(str(folder))


def _make(module: ModuleType, folder: Path, config: Mapping[str, Any]) -> Any:
    factory = getattr(module, "Model", None)
    if not inspect.isclass(factory):
        raise FolderError(f"{MODEL} has no class Model")
    if not callable(getattr(factory, "predict", None)):
        raise FolderError(f"class Model of {MODEL} has no method predict(inputs)")
    arguments = () if factory.__init__ is object.__init__ else (folder, dict(config))
    return _tried("Model(folder, config)", lambda: factory(*arguments))


def _tried(what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except FolderError:
        raise
    except Exception as error:
        raise FolderError(f"{what} raised {type(error).__name__}: {error}") from error


def _step(model: Any, name: str) -> Callable[[Any, Any], Any] | None:
    """The model's own step as a call of (values, parameters); None where it has none."""
    method = getattr(model, name, None)
    if method is None:
        return None
    if "parameters" not in inspect.signature(method).parameters:
        return lambda given, _: method(given)

    def with_parameters(given: Any, parameters: Any) -> Any:
        return method(given, parameters=parameters)

    return with_parameters


def _refusal(error: Exception, step: str) -> str | None:
    """What to tell the client whose fault an error is; None where it is the model's."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "RowError" in names and hasattr(error, "row"):
        column = getattr(error, "column", None)
        place = f"row {error.row}" if column is None else f"row {error.row}, column {column!r}"
        return f"{place}: {getattr(error, 'reason', error)}"
    if "InvalidInput" in names or (step == "preprocess" and isinstance(error, ValueError)):
        return str(error) or type(error).__name__
    return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FolderError(f"{path.name} is missing: it says what goes in and what comes out") from None
    except (OSError, ValueError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise FolderError(f"{path.name} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise FolderError(f"{path.name} must hold an object, not {type(document).__name__}")
    return document


def _is_bytes(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("contentEncoding") == "base64"


def _lies_in(module: Any, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and folder in Path(file).parents
