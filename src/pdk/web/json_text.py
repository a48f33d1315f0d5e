"""JSON made safe: what later steps could not hold is refused while it is read, and what is written is JSON.

Pure: engines may import it. The words of a refusal are each system's own: `UnsafeJson` says what is wrong and where.
"""

import json
import math
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any

LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Fault(StrEnum):
    """What is wrong: a number no float holds, NaN, nesting, a key given twice, half of a character, syntax."""

    RANGE = "range"
    CONSTANT = "constant"
    DEPTH = "depth"
    DUPLICATE = "duplicate"
    SURROGATE = "surrogate"
    SYNTAX = "syntax"


class UnsafeJson(ValueError):
    """The text is no JSON, or more than a program of another language reads; `text` is the piece or the reason."""

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.fault = fault
        self.text = text


def parse(body: bytes, max_digits: int | None = None, max_depth: int | None = None, unique_keys: bool = False) -> Any:
    """Return the value of a JSON text in UTF-8.

    Raises UnsafeJson for NaN and the infinities, numbers that no float holds, integers of more than `max_digits`
    digits, values nested more than `max_depth` levels deep, halves of surrogate pairs, and keys given twice if they
    must be unique.
    """
    try:
        value = json.loads(
            body.decode(),
            parse_float=_finite_float,
            parse_int=None if max_digits is None else _bounded_int(max_digits),
            parse_constant=_no_constant,
            object_pairs_hook=_unique if unique_keys else None,
        )
    except RecursionError as error:
        raise UnsafeJson(Fault.DEPTH, str(error)) from None
    except UnsafeJson:
        raise
    except ValueError as error:
        # UnicodeDecodeError and JSONDecodeError are ValueErrors; so is an integer of thousands of digits.
        raise UnsafeJson(Fault.SYNTAX, str(error)) from None
    check_value(value, max_depth, bool(LONE_SURROGATE.search(body)))
    return value


def check_value(value: Any, max_depth: int | None, may_have_surrogates: bool = True) -> None:
    """Raise UnsafeJson when a value is nested more than `max_depth` levels deep or holds text that is no Unicode."""
    level, depth = [value], 0
    while level and max_depth is not None:
        depth += 1
        if depth > max_depth:
            raise UnsafeJson(Fault.DEPTH, f"more than {max_depth} levels")
        level = [child for item in level for child in _children(item)]
    if may_have_surrogates:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise UnsafeJson(Fault.SURROGATE, str(error)) from None


def compact(value: Any, ascii_only: bool = True) -> bytes:
    """Return compact JSON in ASCII or UTF-8. Raises ValueError for NaN, which would be a fault of an encoder."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=ascii_only).encode()


def _children(value: Any) -> list[Any]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [child for child in items if isinstance(child, (dict, list))]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise UnsafeJson(Fault.DUPLICATE, next(name for name in names if names.count(name) > 1))
    return found


def _no_constant(name: str) -> Any:
    raise UnsafeJson(Fault.CONSTANT, name)


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise UnsafeJson(Fault.RANGE, text[:40])
    return value


def _bounded_int(max_digits: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if len(text) > max_digits:
            raise UnsafeJson(Fault.RANGE, f"{text[:40]}...")
        return int(text)

    return read
