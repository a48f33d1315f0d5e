"""RFC 3339 text in and out."""

import pytest

from pdk.base import clock, ids


@pytest.mark.parametrize(
    "text", ["2024-01-02T03:04:05Z", "2024-01-02T03:04:05.1+00:00", "2024-01-02T03:04:05.123456789Z"]
)
def test_times_are_read_whatever_their_precision(text):
    assert clock.to_rfc3339(clock.from_rfc3339(text)).startswith("2024-01-02T03:04:05")


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        clock.from_rfc3339("2024-01-02T03:04:05")


def test_ids_have_pachyderms_shape():
    assert ids.is_id(ids.new_id())
    assert not ids.is_id("master")
