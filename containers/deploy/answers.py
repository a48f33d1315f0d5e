"""What a model answers, as JSON has it: values of numpy, torch and pandas made plain, and nothing that is no number.

Called by `serving_folder.py` and `handler.py` and packed beside them; Python 3.9 and newer, the standard library alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


class ModelFailed(RuntimeError):
    """The model is at fault; the text says in which step and how."""


def plain_list(value: Any) -> list[Any] | None:
    """A list, tuple, array, tensor, Series or DataFrame as a list of one value per row; None for anything else."""
    if isinstance(value, list):
        return value
    if isinstance(value, (str, bytes, bytearray, Mapping)):
        return None
    try:
        plain = plain_value(value)
    except TypeError:
        return None
    return plain if isinstance(plain, list) else None


def plain_value(value: Any) -> Any:
    """What JSON has for a value of numpy, torch or pandas, and base64 for bytes; for `json.dumps(default=...)`.

    Raises TypeError for anything else.
    """
    if isinstance(value, (bytes, bytearray)):
        import base64  # noqa: PLC0415 - rarely needed

        return {"b64": base64.b64encode(value).decode("ascii")}
    if hasattr(value, "detach"):  # a tensor; one that has no numpy type (bfloat16) becomes float first
        tensor = value.detach().cpu()
        return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).tolist()
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a DataFrame
        return value.to_dict(orient="records")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):  # arrays and their scalars, Series
        return value.tolist()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{named(value)} has no JSON form")


def to_json(answer: Any) -> str:
    """The text of an answer. Raises ModelFailed for NaN or infinity, naming the row, and for what JSON has not."""
    try:
        return json.dumps(answer, allow_nan=False, default=plain_value)
    except (TypeError, ValueError, RecursionError) as error:
        rows = answer.get("predictions") if isinstance(answer, Mapping) else None
        for number, row in enumerate(rows if isinstance(rows, list) else ()):
            if has_no_number(row):
                raise ModelFailed(f"row {number}: the model gave no finite number for these values") from error
        raise ModelFailed(f"the answer cannot be written as JSON: {error}") from error


def has_no_number(value: Any) -> bool:
    """Whether NaN or infinity is anywhere in a value; one nested deeper than Python goes counts as having none."""
    try:
        return _has_no_number(value)
    except RecursionError:
        return False


def _has_no_number(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_has_no_number, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_no_number, value))
    try:
        plain = plain_value(value)
    except TypeError:
        return False
    return _has_no_number(plain) if plain is not value and not isinstance(plain, (str, int)) else False


def named(value: Any) -> str:
    """How a message names a value: by its type."""
    return "nothing (None)" if value is None else f"{type(value).__module__}.{type(value).__qualname__}"
