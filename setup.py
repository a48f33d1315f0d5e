"""Maps the folders that pdk runs but that lie beside `src/` into the wheel; `pdk.base.shipped` finds them."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("containers", "experiment", "pipelines", "sample-data", "templates")
GENERATED = shutil.ignore_patterns("__pycache__", ".*_cache", ".ipynb_checkpoints", "*data_part*.csv*")


class BuildWithShippedFolders(build_py):
    """Builds the package, then copies the shipped folders below it; an editable installation uses the clone's own."""

    def run(self) -> None:
        """Build; what an earlier build left is removed, or files that are no more would go into the wheel."""
        package = Path(self.build_lib, "pdk")
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            for name in SHIPPED:
                shutil.copytree(name, package / "shipped" / name, ignore=GENERATED)


setup(cmdclass={"build_py": BuildWithShippedFolders})
