"""Makes what the loop needs on the three systems, as `pdk apply experiment` does."""

from collections.abc import Iterator

from pdk.projects import model_file
from pdk.projects.apply import Target, apply
from pdk_demo.systems import SHIPPED, Systems


def prepare(systems: Systems, code_url: str | None = None) -> Iterator[str]:
    """Do every step not done yet, yielding a line about each. `code_url`: folder or git URL of the model code."""
    secret = {
        "det_master": systems.master_url,
        "det_user": "determined",
        "det_password": "",
        "pac_token": "",
        "kserve_namespace": systems.namespace,
        "code_url": code_url or str(SHIPPED),
        "code_ref": "",
        "cloud_model_host": "",
        "cloud_model_bucket": "",
    }
    target = Target(
        pachyderm=systems.pachyderm,
        determined=systems.determined,
        kubernetes=systems.kubernetes,
        namespace=systems.namespace,
        secret=secret,
        s3_endpoint=systems.s3_address,
    )
    folder = SHIPPED / "experiment"
    return apply(folder, model_file.read(folder), target)
