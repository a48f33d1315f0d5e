"""Offset and limit."""

import pytest

from pdk.determined.errors import BadRequest
from pdk.determined.master.paging import Page, paged


@pytest.mark.parametrize(
    ("page", "items"),
    [
        (Page(), [0, 1, 2, 3, 4]),
        (Page(limit=2), [0, 1]),
        (Page(offset=3, limit=5), [3, 4]),
        (Page(offset=-2), [3, 4]),
        (Page(offset=-9, limit=1), [0]),
        (Page(offset=5), []),
        (Page(limit=-1), [0, 1, 2, 3, 4]),
    ],
)
def test_pages(page, items):
    cut = paged(range(5), page)
    assert list(cut.items) == items
    assert (cut.end - cut.start, cut.total) == (len(items), 5)


def test_beyond_the_end():
    with pytest.raises(BadRequest):
        paged(range(5), Page(offset=6))
