"""The KServe V1 request, taken apart: the instances a model gets, their parameters, questions to the server.

Called by `handler.py` inside a TorchServe worker and by `serving_folder.py`'s other users, and packed beside them into
the .mar. Knows the shapes a client may send, and nothing of models or TorchServe. Runs on the Python of the serving
image (3.9 and newer), so it uses the standard library only.

Elements of `instances` may be mixed freely. For a model whose input is an object (by its signature):

    {"data": {"area": {"0": "OHIO AREA", "1": ...}, ...}}     columns of {row: value}   (pandas `to_dict()`)
    {"data": {"area": ["OHIO AREA", ...], ...}}               columns of [values]
    {"area": "OHIO AREA", ...}                                one row

For any other model each element is one instance, as it is. Where the signature says so, {"b64": text} becomes bytes.

`"parameters"` may stand beside `"data"`, inside a row object, or beside `"instances"` (then they hold for the whole
request; a server with the `kserve` service envelope passes only `instances` on, so clients that must work everywhere
put them into the instance). Those the model's signature names go to the model; two are the server's own:

    model_info: true        in an instance of its own: that prediction is an object naming the model version and its
                            data; beside `"instances"`: the answer has `"model_info"` beside `"predictions"`
    signature: true         likewise the model's signature
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from answers import has_no_number

# Questions to the server, not to the model.
QUESTIONS = ("model_info", "signature")
# Names with a meaning of their own in a request; an object of a model's input may not have a property called so.
RESERVED = ("data", "parameters", "body")


class BadRequest(ValueError):
    """The request cannot be answered as sent; the text says what is wrong and where."""


class Shape(NamedTuple):
    """What a model takes: by its signature, and the most rows it answers in one request.

    `objects`: an instance is an object. `names`: its properties, None where any may come. `bytes_at`: the properties
    that hold bytes; with `objects` false, whether the instance itself does. `parameters`: schemas by name. `whole`: the
    model gets the body itself.
    """

    objects: bool
    names: Sequence[str] | None
    bytes_at: Sequence[str]
    is_bytes: bool
    parameters: Mapping[str, Any]
    whole: bool
    max_rows: int


class Question(NamedTuple):
    """An instance that asks the server something: how many rows come before it, and what it asks."""

    before: int
    about: str


class ColumnRows(Sequence[Any]):
    """Rows that came by column: each is made as it is asked for, `columns` has them as they came."""

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self.columns = columns
        self._count = len(next(iter(columns.values())))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return {name: values[index] for name, values in self.columns.items()}

    def all(self) -> list[dict[str, Any]]:
        """Every row, quicker than one by one."""
        return [dict(zip(self.columns, values)) for values in zip(*self.columns.values())]  # noqa: B905 - Python 3.9


class ParsedRequest(NamedTuple):
    """The rows of a request in order, the parameters of each (None: no row has any), the questions among the rows, and
    what is asked for the whole answer.
    """

    rows: Sequence[Any]
    parameters: list[dict[str, Any]] | None
    questions: list[Question]
    asked: tuple[str, ...]


class _Parts:
    """The instances taken apart so far."""

    def __init__(self, shape: Shape, shared: dict[str, Any]) -> None:
        self.shape = shape
        self.shared = shared
        self.rows: Sequence[Any] = []
        self.parameters: list[dict[str, Any]] = []
        self.questions: list[Question] = []
        self._any = bool(shared)

    def add(self, rows: Sequence[Any], parameters: dict[str, Any]) -> None:
        if isinstance(rows, ColumnRows) and not self.rows:
            self.rows = rows  # the only instance, as a rule
        elif isinstance(self.rows, list):
            self.rows += _listed(rows)
        else:
            self.rows = [*_listed(self.rows), *_listed(rows)]
        self.parameters += [parameters] * len(rows)
        self._any = self._any or bool(parameters)
        if len(self.rows) > self.shape.max_rows:
            most = self.shape.max_rows
            raise BadRequest(f"too many rows: this model answers at most {most} per request; send fewer")

    def request(self, asked: tuple[str, ...]) -> ParsedRequest:
        return ParsedRequest(self.rows, self.parameters if self._any else None, self.questions, asked)


def parse_body(body: Any, shape: Shape) -> ParsedRequest:
    """Take a whole V1 body apart: a dict, or JSON as text or bytes. Raises `BadRequest`.

    Of a model that takes whole bodies, the body is the only row.
    """
    if isinstance(body, (bytes, bytearray, str)):
        body = decode(body)
    if shape.whole:
        if not isinstance(body, dict):
            raise BadRequest(f"the body must be a JSON object, not {_kind(body)}")
        return ParsedRequest([body], None, [], ())
    if not isinstance(body, dict) or "instances" not in body:
        raise BadRequest('the body must be a JSON object with "instances": a list of rows, or of {"data": columns}')
    given = _parameters(body.get("parameters"), shape, "the body")
    asked = tuple(name for name in QUESTIONS if given.pop(name, False))
    return parse_instances(body["instances"], shape, given, asked)


def parse_instances(
    instances: Any, shape: Shape, shared: dict[str, Any] | None = None, asked: tuple[str, ...] = ()
) -> ParsedRequest:
    """Take the list under `instances` apart. Raises `BadRequest` for anything that is not one of the known shapes."""
    if not isinstance(instances, list):
        raise BadRequest(f'"instances" must be a list, not {_kind(instances)}')
    if not instances:
        raise BadRequest('"instances" is empty: send at least one row')
    parts = _Parts(shape, shared or {})
    for index, instance in enumerate(instances):
        where = f"instances[{index}]"
        if not _ask(where, instance, parts):
            (_add_object if shape.objects else _add_value)(where, instance, parts)
    return parts.request(asked)


def parse_form(fields: Mapping[str, Any], shape: Shape) -> ParsedRequest:
    """Take multipart form data apart: bytes by the name of each part. Raises `BadRequest`.

    Of a model whose input is bytes each part is an instance; of one that takes objects the parts are the properties of
    one, text where the signature does not say bytes.
    """
    if not shape.objects:
        if not shape.is_bytes:
            raise BadRequest("this model takes no files: send JSON (Content-Type: application/json)")
        parts = _Parts(shape, {})
        parts.add([bytes(_encoded(value)) for value in fields.values()], {})
        return parts.request(())
    row = {name: bytes(_encoded(value)) if name in shape.bytes_at else _text(value) for name, value in fields.items()}
    return ParsedRequest([row], None, [], ())


def decode(body: bytes | bytearray | str) -> Any:
    """Read JSON text, strictly: NaN, Infinity and numbers beyond a double are none. Raises `BadRequest`."""
    try:
        text = body if isinstance(body, str) else bytes(body).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8 text: {error}; JSON is sent as UTF-8") from None
    if text.startswith("\ufeff"):
        raise BadRequest("the body begins with a byte order mark: JSON is sent without one")
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:  # JSONDecodeError is a ValueError
        raise BadRequest(f"the body is not JSON: {error}") from None


def not_finite(rows: Sequence[Any]) -> str | None:
    """Say where NaN or a number beyond a double is among the rows of a request; None if there is none."""
    for number, row in enumerate(rows):
        columns = row.items() if isinstance(row, Mapping) else [(None, row)]
        for name, value in columns:
            if has_no_number(value):
                place = f"row {number}" if name is None else f"row {number}, column {name!r}"
                return f"{place}: NaN, infinity and numbers beyond a double are no JSON numbers"
    return None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:40]} is out of range")
    return value


def _ask(where: str, instance: Any, parts: _Parts) -> bool:
    """Whether an instance only asks the server something; then the question is added."""
    if not isinstance(instance, dict) or not isinstance(instance.get("parameters"), dict):
        return False
    names = [name for name in QUESTIONS if name in instance["parameters"]]
    if not names:
        return False
    given = _parameters(instance["parameters"], parts.shape, where)
    about = [name for name in names if given[name]]
    if not about:
        return set(instance) == {"parameters"}
    if set(instance) != {"parameters"}:
        raise BadRequest(f"{where} has rows and asks for {about[0]}: put that into an instance of its own")
    parts.questions += [Question(len(parts.rows), name) for name in about]
    return True


def _add_value(where: str, instance: Any, parts: _Parts) -> None:
    parts.add([_bytes_of(instance, where) if parts.shape.is_bytes else instance], parts.shared)


def _add_object(where: str, instance: Any, parts: _Parts) -> None:
    shape = parts.shape
    if not isinstance(instance, dict):
        raise BadRequest(f"{where} must be an object with values by column name, not {_kind(instance)}")
    given = parts.shared
    if "parameters" in instance:
        own = _parameters(instance["parameters"], shape, where)
        given = {**given, **{name: value for name, value in own.items() if name not in QUESTIONS}}
    if isinstance(instance.get("data"), dict):
        columns = _columns(instance["data"], shape.names, where)
        rows: Sequence[Any] = ColumnRows(columns)
    else:
        row = {name: value for name, value in instance.items() if name != "parameters"}
        if not row:
            raise BadRequest(
                f"{where} is empty (a body sent as a form arrives like that: use Content-Type: application/json)"
            )
        rows = [row]
    if shape.bytes_at:
        rows = _listed(rows)
    for name in shape.bytes_at:
        for row in rows:
            if name in row:
                row[name] = _bytes_of(row[name], f"{where}, {name!r}")
    parts.add(rows, given)


def _listed(rows: Sequence[Any]) -> Sequence[Any]:
    return rows.all() if isinstance(rows, ColumnRows) else rows


def _parameters(parameters: Any, shape: Shape, where: str) -> dict[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise BadRequest(f'"parameters" of {where} must be an object, not {_kind(parameters)}')
    for name, value in parameters.items():
        if name not in QUESTIONS and name not in shape.parameters:
            known = ", ".join((*shape.parameters, *QUESTIONS))
            raise BadRequest(f"unknown parameter {name!r} in {where}: known are {known}")
        if not isinstance(value, bool) and shape.parameters.get(name, {"type": "boolean"}).get("type") == "boolean":
            raise BadRequest(f"parameter {name!r} in {where} must be true or false, not {_kind(value)}")
    return dict(parameters)


def _columns(data: Mapping[str, Any], wanted: Sequence[str] | None, where: str) -> dict[str, Sequence[Any]]:
    """Take the wanted columns of one instance, all in the row order of the first of them."""
    names = data if wanted is None else wanted
    found = {name: data[name] for name in names if name in data}
    if not found:
        some = ", ".join(list(names)[:5])
        raise BadRequest(f'"data" of {where} has none of the columns this model uses ({some}, ...)')
    first_name, first = next(iter(found.items()))
    order = [*first] if isinstance(first, dict) else None
    columns: dict[str, Sequence[Any]] = {}
    for name, values in found.items():
        if isinstance(values, list):
            columns[name] = values
        elif not isinstance(values, dict):
            raise BadRequest(
                f"column {name!r} of {where} must be {{row: value}} or [values], not {_kind(values)}; "
                'one row may also be sent without the "data" around it'
            )
        elif order is None or [*values] == order:  # no row names to compare with, or the same in the same order
            columns[name] = [*values.values()]
        else:
            columns[name] = _in_order(name, values, order, first_name, where)
        if len(columns[name]) != len(first):
            raise BadRequest(f"column {name!r} of {where} has {len(values)} rows, {first_name!r} has {len(first)}")
    if not first:
        raise BadRequest(f'"data" of {where} has no rows (column {first_name!r} is empty): send at least one row')
    return columns


def _in_order(name: str, values: dict[str, Any], order: list[str], first_name: str, where: str) -> list[Any]:
    missing = [row for row in order if row not in values]
    if missing:
        raise BadRequest(f"row {missing[0]!r}, column {name!r} of {where}: no value (column {first_name!r} has one)")
    if len(values) != len(order):
        unknown = next(row for row in values if row not in set(order))
        raise BadRequest(f"row {unknown!r}, column {name!r} of {where}: column {first_name!r} has no such row")
    return [values[row] for row in order]


def _bytes_of(value: Any, where: str) -> bytes:
    if isinstance(value, (bytes, bytearray)):  # a file part, or what TorchServe has decoded
        return bytes(value)
    text = value.get("b64") if isinstance(value, dict) and set(value) == {"b64"} else None
    if not isinstance(text, str):
        raise BadRequest(f'{where} must be bytes as {{"b64": "<base64 text>"}}, not {_kind(value)}')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"{where} is not base64: {error}") from None


def _encoded(value: Any) -> bytes | bytearray:
    return value if isinstance(value, (bytes, bytearray)) else str(value).encode()


def _text(value: Any) -> Any:
    if not isinstance(value, (bytes, bytearray)):
        return value
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"a part of the form is not UTF-8 text: {error}") from None


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
