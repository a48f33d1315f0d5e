"""The KServe V1 request, taken apart: body -> parts of rows with names, flags and row counts.

Called by `handler.py` inside a TorchServe worker, and packed beside it into the .mar. Knows the shapes a client may
send, and nothing of encoding, models or TorchServe. Columns the model does not use (the label among them) are not
looked at. Runs on the Python of the serving image (3.9 and newer), so it
uses the standard library only.

Shapes of one element of `instances`, which may be mixed freely:

    {"data": {"area": {"0": "OHIO AREA", "1": ...}, ...}}     columns of {row: value}   (pandas `to_dict()`)
    {"data": {"area": ["OHIO AREA", ...], ...}}               columns of [values]
    {"area": "OHIO AREA", ...}                                one row
    {"parameters": {"model_info": true}}                      no row: asks which model answers

`"parameters"` may stand beside `"data"`, inside a row, or beside `"instances"` (then they hold for the whole request;
a server with the `kserve` service envelope passes only `instances` on, so clients that must work everywhere put them
into the instance):

    probabilities: true     each prediction is [class, probability of class 1] instead of [class]
    model_info: true        in an instance of its own: that prediction is an object naming the model version and its
                            data; beside `"instances"`: the answer has `"model_info"` beside `"predictions"`
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

PARAMETERS = ("probabilities", "model_info")
# Names with a meaning of their own in a request; a model may not have a column called so.
RESERVED = ("data", "parameters", "body")


class BadRequest(ValueError):
    """The request cannot be answered as sent; the text says what is wrong and where."""


class Flags(NamedTuple):
    """What the client asked for beside the predicted classes."""

    probabilities: bool = False
    model_info: bool = False


class Part(NamedTuple):
    """A run of rows of one request, either by column or as row objects; `first_row` counts from 0 in the request."""

    first_row: int
    rows: int
    columns: Mapping[str, Sequence[Any]] | None
    row_objects: list[Mapping[str, Any]] | None
    flags: Flags


class ParsedRequest(NamedTuple):
    """The parts of a request in the order of its instances, the rows they hold, and the flags given for all."""

    parts: list[Part]
    rows: int
    flags: Flags


class Limits(NamedTuple):
    """What the model takes: the columns it uses, and the most rows it answers in one request."""

    columns: Sequence[str]
    max_rows: int


def parse_body(body: Any, limits: Limits) -> ParsedRequest:
    """Take a whole V1 body apart: a dict, or JSON as text or bytes. Raises `BadRequest`."""
    if isinstance(body, (bytes, bytearray, str)):
        body = _decode(body)
    if not isinstance(body, dict) or "instances" not in body:
        raise BadRequest('the body must be a JSON object with "instances": a list of rows, or of {"data": columns}')
    return parse_instances(body["instances"], limits, _flags(body.get("parameters"), Flags(), "the body"))


def parse_instances(instances: Any, limits: Limits, shared: Flags = Flags()) -> ParsedRequest:  # noqa: B008 - immutable
    """Take the list under `instances` apart. Raises `BadRequest` for anything that is not one of the known shapes."""
    if not isinstance(instances, list):
        raise BadRequest(f'"instances" must be a list, not {_kind(instances)}')
    if not instances:
        raise BadRequest('"instances" is empty: send at least one row')
    parts: list[Part] = []
    rows = 0
    for index, instance in enumerate(instances):
        part = _part(f"instances[{index}]", instance, rows, shared, limits.columns)
        rows += part.rows
        if rows > limits.max_rows:
            raise BadRequest(f"too many rows: this model answers at most {limits.max_rows} per request; send fewer")
        _append(parts, part)
    return ParsedRequest(parts, rows, shared)


def _decode(body: bytes | bytearray | str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise BadRequest(f"the body is not JSON: {error}") from error


def _append(parts: list[Part], part: Part) -> None:
    """Add a part, joining single rows that follow each other so that they are encoded together."""
    last = parts[-1] if parts else None
    if last is None or last.row_objects is None or part.row_objects is None or last.flags != part.flags:
        parts.append(part)
        return
    last.row_objects.extend(part.row_objects)
    parts[-1] = last._replace(rows=last.rows + part.rows)


def _part(where: str, instance: Any, first_row: int, shared: Flags, wanted: Sequence[str]) -> Part:
    if not isinstance(instance, dict):
        raise BadRequest(f"{where} must be an object with values by column name, not {_kind(instance)}")
    flags = _flags(instance.get("parameters"), shared._replace(model_info=False), where)
    if flags.model_info:
        if set(instance) != {"parameters"}:
            raise BadRequest(f"{where} has rows and asks for model_info: put that into an instance of its own")
        return Part(first_row, 0, None, None, flags)
    if isinstance(instance.get("data"), dict):
        columns = _columns(instance["data"], wanted, where)
        rows = len(next(iter(columns.values())))
        return Part(first_row, rows, columns, None, flags)
    row = {name: value for name, value in instance.items() if name != "parameters"}
    if not row:
        raise BadRequest(
            f"{where} is empty (a body sent as a form arrives like that: use Content-Type: application/json)"
        )
    return Part(first_row, 1, None, [row], flags)


def _flags(parameters: Any, shared: Flags, where: str) -> Flags:
    if parameters is None:
        return shared
    if not isinstance(parameters, dict):
        raise BadRequest(f'"parameters" of {where} must be an object, not {_kind(parameters)}')
    for name, value in parameters.items():
        if name not in PARAMETERS:
            raise BadRequest(f"unknown parameter {name!r} in {where}: known are {', '.join(PARAMETERS)}")
        if not isinstance(value, bool):
            raise BadRequest(f"parameter {name!r} in {where} must be true or false, not {_kind(value)}")
    return shared._replace(**parameters)


def _columns(data: Mapping[str, Any], wanted: Sequence[str], where: str) -> dict[str, Sequence[Any]]:
    """Take the wanted columns of one instance, all in the row order of the first of them."""
    found = {name: data[name] for name in wanted if name in data}
    if not found:
        raise BadRequest(f'"data" of {where} has none of the columns this model uses ({", ".join(wanted[:5])}, ...)')
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


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
