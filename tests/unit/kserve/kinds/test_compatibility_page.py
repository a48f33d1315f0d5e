"""docs/compatibility/kserve.md lists the kinds that are registered with the Kubernetes API."""

from pathlib import Path

from pdk.kserve.kinds.registry import serving_resources

PAGE = Path(__file__).parents[4] / "docs" / "compatibility" / "kserve.md"


def test_every_kind_of_kserve_is_on_the_page():
    for resource in serving_resources():
        if resource.is_custom:
            scope, names = "namespaced" if resource.namespaced else "cluster", ", ".join(resource.short_names) or "-"
            row = f"| `{resource.plural}` | {resource.api_version} | {resource.kind} | {names} | {scope} | all "
            assert row + f"| {'status' if resource.has_status else '-'} |" in PAGE.read_text()
