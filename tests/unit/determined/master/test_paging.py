"""Offset and limit."""

import pytest

from pdk.determined.errors import InvalidRequest
from pdk.determined.master.paging import PageRequest, paged


@pytest.mark.parametrize(
    ("page", "items"),
    [
        (PageRequest(), [0, 1, 2, 3, 4]),
        (PageRequest(limit=2), [0, 1]),
        (PageRequest(offset=3, limit=5), [3, 4]),
        (PageRequest(offset=-2), [3, 4]),
        (PageRequest(offset=-9, limit=1), [0]),
        (PageRequest(offset=5), []),
        (PageRequest(limit=-1), [0, 1, 2, 3, 4]),
    ],
)
def test_pages(page, items):
    cut = paged(range(5), page)
    assert list(cut.items) == items
    assert (cut.end - cut.start, cut.total) == (len(items), 5)


def test_beyond_the_end():
    with pytest.raises(InvalidRequest):
        paged(range(5), PageRequest(offset=6))
