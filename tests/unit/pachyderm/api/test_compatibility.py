"""The compatibility page is current: PDK_WRITE_PAGES=1 writes it anew."""

import os
from pathlib import Path

from pdk.pachyderm.api.admin import AdminService
from pdk.pachyderm.api.compatibility import page
from pdk.pachyderm.api.pfs import PfsService
from pdk.pachyderm.api.pps import PpsService
from pdk.pachyderm.api.wire import Wire

PAGE = Path(__file__).parents[4] / "docs" / "compatibility" / "pachyderm.md"


def test_the_page_is_current():
    wire = Wire()
    services = {
        "admin": AdminService(wire, "id").methods(),
        "pfs": PfsService(wire, None).methods(),
        "pps": PpsService(wire, None).methods(),
    }
    text = page(wire, services)
    if os.environ.get("PDK_WRITE_PAGES"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text
    assert "| InspectCommit |" in text
    assert "UNIMPLEMENTED" in text
