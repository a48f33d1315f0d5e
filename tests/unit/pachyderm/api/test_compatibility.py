"""The compatibility page is current: PDK_WRITE_DOCS=1 writes it anew."""

import os
import re
from pathlib import Path

from pachyderm_page import page

from pdk.pachyderm.api.admin import AdminService
from pdk.pachyderm.api.files import FileService
from pdk.pachyderm.api.pfs import PfsService
from pdk.pachyderm.api.pps import PpsService
from pdk.pachyderm.api.server import methods_of, rpc
from pdk.pachyderm.api.wire import Wire

PAGE = Path(__file__).parents[4] / "docs" / "compatibility" / "pachyderm.md"


def test_the_page_is_current():
    wire = Wire()
    services = [AdminService(wire, "id"), PfsService(wire, None), FileService(wire, None), PpsService(wire, None)]
    text = page(wire, map(methods_of, services))
    if os.environ.get("PDK_WRITE_DOCS"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text
    assert "| InspectCommit |" in text
    assert "UNIMPLEMENTED" in text


class Refusing:
    service = "pps_v2.API"

    @rpc("InspectJob")
    def inspect_job(self, request, call):
        """Describe a job."""

    @rpc("RunCron", refuses=True)
    def run_cron(self, request, call):
        """No pipeline has a cron input."""


def test_a_call_that_always_refuses_is_not_listed_as_answered():
    answered, refused = page(Wire(), [methods_of(Refusing())]).split("| call | why it is always refused |")
    assert "| InspectJob | Describe a job |" in answered
    assert "| RunCron | No pipeline has a cron input |" in refused
    assert "RunCron" not in answered
    assert "RunCron" not in refused.partition("UNIMPLEMENTED: ")[2].partition("\n")[0]


def test_no_row_only_repeats_the_name_of_its_call():
    rows = re.findall(r"^\| (\w+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert len(rows) > 60
    assert not [name for name, about in rows if re.sub(r"\W", "", about).lower() == name.lower()]
