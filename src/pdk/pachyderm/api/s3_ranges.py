"""The Range header as the S3 gateway understands it: one range of bytes."""

import re

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class InvalidRange(Exception):
    """The range lies outside the object."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Return (start, end), end excluded, of `bytes=a-b`, `bytes=a-` or `bytes=-n`; None = the whole object.

    A header of another form counts as none, as RFC 9110 asks. Raises InvalidRange when nothing of the object is in it.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
        if match[2] and int(match[2]) < start:
            return None
    else:
        start, end = max(size - int(match[2]), 0), size
    if start >= end:
        raise InvalidRange(f"the range {header!r} is not satisfiable: the object has {size} bytes")
    return start, end
