"""The compatibility page is current, and every route is one the client knows."""

import os
from pathlib import Path

from determined_page import client_calls, page, shape

from pdk.determined.api.app import HANDLERS
from pdk.web.routing import routes_of

PAGE = Path(__file__).parents[4] / "docs" / "compatibility" / "determined.md"
# Calls the client makes by hand, without its generated bindings.
BY_HAND = {
    ("GET", "/info"),
    ("POST", "/task-logs"),
    ("GET", "/checkpoints/{}"),
    ("GET", "/experiments/{}/preview_gc"),
}


def test_the_page_is_current():
    if os.environ.get("PDK_WRITE_DOCS"):
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "run this test with PDK_WRITE_DOCS=1"


def test_every_route_is_a_call_of_the_client():
    assert {shape(route) for route in routes_of(*HANDLERS.values())} - set(client_calls()) == BY_HAND


def test_the_page_says_what_is_missing():
    assert "`GET /webhooks`" in page()
    assert "| `POST /api/v1/models` |" in page()
