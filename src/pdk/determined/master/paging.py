"""Offset and limit as every list of the master takes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pdk.determined.errors import InvalidRequest

T = TypeVar("T")


@dataclass(frozen=True)
class PageRequest:
    """Which part of a list is wanted: limit 0 means everything, a negative offset counts from the end."""

    offset: int = 0
    limit: int = 0

    def window(self, total: int) -> tuple[int, int]:
        """Return (start, end) within a list of `total` items; raises InvalidRequest when the offset is beyond it."""
        start = self.offset if self.offset >= 0 else max(0, total + self.offset)
        if start > total:
            raise InvalidRequest(f"offset {self.offset} out of bounds for a list of {total}")
        if self.limit < 0 or self.limit == 0:
            return start, total
        return start, min(total, start + self.limit)


@dataclass(frozen=True)
class Paged(Generic[T]):
    """One page and where it lies in the whole."""

    items: Sequence[T]
    page: PageRequest
    start: int
    end: int
    total: int


def paged(items: Sequence[T], page: PageRequest) -> Paged[T]:
    """Cut a page out of a whole list."""
    start, end = page.window(len(items))
    return Paged(items[start:end], page, start, end, len(items))
