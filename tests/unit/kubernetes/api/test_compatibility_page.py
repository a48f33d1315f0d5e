"""docs/compatibility/kubernetes.md lists the resources the server has, with their verbs."""

from pathlib import Path

from pdk.kubernetes.api.router import NOT_SERVED
from pdk.kubernetes.errors import ObjectError
from pdk.kubernetes.kinds.builtin import BUILT_IN
from pdk.kubernetes.kinds.resource import Resources

PAGE = Path(__file__).parents[4] / "docs" / "compatibility" / "kubernetes.md"


def resource_rows():
    for resource in Resources(BUILT_IN):
        subresources = [name for name, there in (("status", resource.has_status), ("log", resource.has_log)) if there]
        scope = "namespaced" if resource.namespaced else "cluster"
        names = ", ".join(resource.short_names) or "-"
        verbs = "all" if len(resource.verbs) == 8 else " ".join(resource.verbs)
        yield (
            f"| `{resource.plural}` | {resource.api_version} | {resource.kind} | {names} | {scope} | {verbs} "
            f"| {' '.join(subresources) or '-'} |"
        )


def test_every_resource_is_on_the_page():
    text = PAGE.read_text()
    missing = [row for row in resource_rows() if row not in text]
    assert not missing, "\n".join(["put these rows into the table of resources:", *missing])


def test_every_subresource_that_is_refused_is_on_the_page():
    text = PAGE.read_text()
    assert [name for name in sorted(NOT_SERVED) if f"`{name}`" not in text] == []


def test_every_reason_is_on_the_page():
    text = PAGE.read_text()
    reasons = {error.reason for error in ObjectError.__subclasses__()}
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in text] == []
