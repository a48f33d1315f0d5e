"""A model's folder made from a template: what the template holds, and what it shares with the churn experiment."""

import shutil
from pathlib import Path

from pdk.base.shipped import shipped_folder

PLACEHOLDER = "__NAME__"
SHARED = "shared.txt"


def make(template, name, folder: Path):
    root = shipped_folder()
    source = root / "templates" / template
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", SHARED))
    for shared in (source / SHARED).read_text().split():
        shutil.copyfile(root / "experiment" / shared, folder / shared)
    for path in folder.rglob("*"):
        if path.suffix in (".yaml", ".md", ".py", ".json"):
            path.write_text(path.read_text().replace(PLACEHOLDER, name))
    return folder
