"""The requests of one batch, joined for one `predict` and split again. Called by `handler.py`; Python 3.9 and newer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import v1_request


class Good(NamedTuple):
    """A request of a batch that could be read: its `place`, and what the model's `preprocess` made of it."""

    place: int
    request: v1_request.ParsedRequest
    inputs: Any


def joined(inputs: Sequence[Any], rows: Sequence[int]) -> Any | None:
    """Arrays or tensors with one leading entry per row as one; None where they are not, or there is only one."""
    kept = [each for each, count in zip(inputs, rows) if count]  # noqa: B905 - Python 3.9 has no strict=
    if len(kept) < 2:
        return None
    first = kept[0]
    if not (hasattr(first, "shape") and hasattr(first, "dtype") and not hasattr(first, "columns")):
        return None
    for each, count in zip(inputs, rows):  # noqa: B905
        if count and (type(each) is not type(first) or each.dtype != first.dtype or not each.shape):
            return None
        if count and (each.shape[0] != count or tuple(each.shape[1:]) != tuple(first.shape[1:])):
            return None
    if hasattr(first, "detach"):
        import torch  # noqa: PLC0415 - the model has brought it

        return torch.cat(kept)
    import numpy as np  # noqa: PLC0415 - likewise

    return np.concatenate(kept)


def split(outputs: Any, rows: Sequence[int]) -> list[Any] | None:
    """The outputs of joined requests, per request; None if they cannot be told apart."""
    total = sum(rows)
    sliced = isinstance(outputs, (list, tuple)) or (hasattr(outputs, "shape") and not hasattr(outputs, "columns"))
    if not sliced or not getattr(outputs, "shape", (1,)) or len(outputs) != total:
        return None
    parts, start = [], 0
    for count in rows:
        parts.append(outputs[start : start + count])
        start += count
    return parts
