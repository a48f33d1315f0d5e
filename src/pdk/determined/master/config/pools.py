"""The resource pool of an experiment: there is one, and configurations written for a cluster may name another.

Called when a configuration is filled, and when a trial gets its slot. The original refuses a pool it does not have;
here the configuration of a cluster shall run unchanged, so it runs in the pool there is and a warning says so.
"""

from pdk.determined.master.config import yaml_text
from pdk.determined.master.config.fields import shown
from pdk.determined.store.records import JSON, Experiment


def move_to(config: JSON, pool: str) -> None:
    """Run what names a pool of another cluster in the only one here, and say so in the description."""
    warning = warning_of(config["resources"]["resource_pool"], pool)
    description = config["description"] or ""
    if warning and warning not in description:
        config["description"] = f"{description}\n{warning}".strip()
    config["resources"]["resource_pool"] = pool


def warning_of(wanted: str, pool: str) -> str:
    """Say that a trial that names pool `wanted` runs in `pool`; empty when it named that one or none."""
    if wanted in ("", pool):
        return ""
    return f"resource pool {shown(wanted)} does not exist on this master: this runs in pool {shown(pool)}"


def warning_for(experiment: Experiment) -> str:
    """Return what a trial of `experiment` is to be told about its pool, empty when it runs where it wanted to."""
    resources = yaml_text.parse(experiment.original_config).get("resources") or {}
    return warning_of(resources.get("resource_pool") or "", experiment.config["resources"]["resource_pool"])
