"""Writes a model's folder: from a CSV, or from a template to start from scratch.

The tabular template is the churn project's own code, `experiment/`; the others are the folders of `templates/`. A
folder is there whole or not at all.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdk.base.errors import AlreadyExists, InvalidArgument
from pdk.base.shipped import shipped_folder
from pdk.projects import model_file, pipelines
from pdk.projects.profile import Profile

TABULAR = "tabular"
# What a template's texts say in place of the model's name.
PLACEHOLDER = "__NAME__"
# A template's list of the modules it takes from the tabular experiment.
SHARED = "shared.txt"
_KEY = re.compile(r"^( *)(\w+):( *)[^#\n]*?( *#.*)?$")


@dataclass(frozen=True)
class Names:
    """How the new model and what belongs to it are called."""

    name: str
    description: str = ""
    project: str = ""
    workspace: str = "pdk"

    @property
    def document(self) -> dict[str, Any]:
        """The content of model.yaml."""
        document = {"name": self.name, "description": self.description}
        if self.project and self.project != self.name:
            document["project"] = self.project
        if self.workspace != "pdk":
            document["workspace"] = self.workspace
        return document


def templates() -> list[str]:
    """Return the names of the templates."""
    folder = shipped_folder() / "templates"
    return [TABULAR, *sorted(path.name for path in folder.iterdir() if (path / "model.yaml").is_file())]


def new_from_csv(target: Path, names: Names, found: Profile) -> None:
    """Write a tabular model's folder. Raises AlreadyExists or InvalidArgument."""
    _write(target, lambda folder: _tabular(folder, names, found.contract, found))


def new_from_template(target: Path, names: Names, template: str) -> None:
    """Write the folder of a template. Raises AlreadyExists or InvalidArgument."""
    if template not in templates():
        raise InvalidArgument(f"there is no template {template!r}; there are {', '.join(templates())}")
    if template == TABULAR:
        raise InvalidArgument("the tabular template is made from a table: name it with --from-csv FILE --label COLUMN")
    _write(target, lambda folder: _copy(folder, names, template))


def _write(target: Path, fill: Any) -> None:
    if target.exists() or target.is_symlink():
        raise AlreadyExists(f"{target} exists: choose another name, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        scratch.chmod(0o755)
        fill(scratch)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def tabular_files(names: Names, contract: Mapping[str, Any], rows: int) -> dict[str, str]:
    """Return what is written for a table beside the README and the pipelines: text by path."""
    source = shipped_folder() / "experiment"
    code = sorted([*source.glob("*.py"), *(source / "serving").glob("*.py")])
    files = {path.relative_to(source).as_posix(): path.read_text(encoding="utf-8") for path in code}
    config = (source / "const.yaml").read_text(encoding="utf-8")
    return {**files, "const.yaml": const_yaml(config, names, contract, rows), "contract.json": contract_json(contract)}


def _tabular(folder: Path, names: Names, contract: Mapping[str, Any], found: Profile) -> None:
    for path, text in tabular_files(names, contract, found.rows).items():
        _put(folder / path, text)
    request: dict[str, Any] = {"instances": found.sample}
    if found.task != "regression":
        request["parameters"] = {"probabilities": True}
    _put(folder / "sample-request.json", json.dumps(request, indent=1, ensure_ascii=False) + "\n")
    _put(folder / "README.md", _readme(names, found))
    _finish(folder, names)


def _copy(folder: Path, names: Names, template: str) -> None:
    root = shipped_folder()
    source = root / "templates" / template
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and "__pycache__" not in relative.parts and path.name != SHARED:
            _put(folder / relative, path.read_text(encoding="utf-8").replace(PLACEHOLDER, names.name))
    shared = source / SHARED
    for name in shared.read_text(encoding="utf-8").split() if shared.is_file() else ():
        _put(folder / name, (root / "experiment" / name).read_text(encoding="utf-8"))
    _finish(folder, names, (folder / "model.yaml").is_file())


def _finish(folder: Path, names: Names, has_model_file: bool = False) -> None:
    """Write the model file, unless the template has its own, and the pipelines made from it."""
    path = folder / model_file.FILE_NAME
    if not has_model_file:
        lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in names.document.items()]
        head = "# What differs between models: docs/your-own-model.md names every key. Pipelines are made from it.\n"
        _put(path, head + "\n".join(lines) + "\n")
    for name, text in pipelines.render(model_file.read(folder)).items():
        _put(folder / "pipelines" / name, text)


def const_yaml(text: str, names: Names, contract: Mapping[str, Any], rows: int) -> str:
    """Return the tabular experiment's config, its comments kept, with names, metric and lengths for this table."""
    values = _config_values(names, contract, rows)
    lines = []
    for line in text.splitlines():
        key = _KEY.match(line)
        if key is not None and values.get(key[2]):
            line = f"{key[1]}{key[2]}: {values[key[2]].pop(0)}{key[4] or ''}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def _config_values(names: Names, contract: Mapping[str, Any], rows: int) -> dict[str, list[str]]:
    """What differs in the config, by key, in the order the key occurs."""
    regression = contract.get("task") == "regression"
    batch = 512
    while batch > 16 and batch * 20 > rows:
        batch //= 2
    batches = min(1000, max(200, 60 * rows // batch // 100 * 100))
    return {
        "name": [names.name, "single"],
        "description": [_yaml_text(names.description)],
        "workspace": [names.workspace],
        "project": [names.project or names.name],
        "global_batch_size": [str(batch)],
        "metric": ["val_rmse" if regression else "val_auc"],
        "smaller_is_better": ["true" if regression else "false"],
        "batches": [str(batches), str(batches // 10)],
    }


def _yaml_text(text: str) -> str:
    plain = re.fullmatch(r"[\w ?.,()/-]*", text) and text == text.strip()
    return text if plain else json.dumps(text, ensure_ascii=False)


def contract_json(contract: Mapping[str, Any]) -> str:
    """Return a contract as text, a column on a line."""
    entries = []
    for key, value in contract.items():
        if key == "columns":
            columns = ",\n".join(f"  {json.dumps(column, ensure_ascii=False)}" for column in value)
            entries.append(f' "columns": [\n{columns}\n ]')
        else:
            entries.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def _readme(names: Names, found: Profile) -> str:
    notes = "\n".join(f"- {'Check this: ' if note.unsure else ''}{note.text}." for note in found.notes)
    return f"""# {names.name}

{names.description}

    pdk apply .
    pdk put file {names.name}-data@master:part1.csv -f part1.csv --project {names.project or names.name}
    pdk wait commit {names.name}-rollout@master --project {names.project or names.name}
    pdk predict {names.name} -f sample-request.json

What was concluded from the first file ({found.rows} rows), all of which can be changed in `contract.json`:

{notes}

| file | what |
|---|---|
| `contract.json` | what a data file must look like, and what is learned |
| `model.yaml` | names, repos, resources; `pipelines/` is made from it |
| `const.yaml` | the experiment's configuration: network, lengths, searcher |
| `model_def.py`, `network.py`, `tasks.py` | the trial, the network, losses and metrics |
| `features.py`, `feature_spec.py`, `fitting.py` | the only preprocessing, in training and in serving |
| `data.py`, `table.py`, `problems.py` and others | get the files of a commit, read them against the contract |
| `serving/` | what answers; every checkpoint has a copy, beside the weights and the signature |
"""


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
