"""Where the files are that pdk runs but that are no part of the package: image folders, pipelines, the churn project.

In a clone they lie beside `src/`; `setup.py` maps them into the wheel. Everything that needs one of them asks here.
"""

from pathlib import Path

from pdk.base.errors import FailedPrecondition


def shipped_folder(package: Path = Path(__file__).parents[1]) -> Path:
    """Return the folder that holds `containers/`, `experiment/`, `pipelines/` and `sample-data/`.

    Raises FailedPrecondition when `package`, the folder of the installed `pdk`, has them neither in it nor two up.
    """
    for candidate in (package / "shipped", package.parents[1]):
        if (candidate / "containers").is_dir():
            return candidate
    raise FailedPrecondition(
        f"{package} was installed without its containers: install the wheel, or a clone as editable"
    )
