"""Says what would stop training, build or rollout of a model's folder, without doing any of them.

Nothing of the folder is imported into this process: names are looked up in its text, and data is read against the
contract by the folder's own modules in a child with a time limit.
"""

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from pdk.base.errors import InvalidArgument
from pdk.base.shipped import shipped_folder
from pdk.projects import model_file, pipelines
from pdk.projects.model_file import ModelFile

SECONDS = 120
# Reads files as the train container does; prints the rows, or the problems.
_READ = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import contract, table
try:
    rules = contract.load(Path(sys.argv[1]) / "contract.json")
    files = {name: Path(name) for name in sys.argv[2:]}
    print(json.dumps({"rows": table.read_all(files, rules).rows if files else None}))
except contract.ContractError as error:
    print(json.dumps({"problems": [str(problem) for problem in error.problems]}))
"""
# Loads a serving folder and lets it answer its example, as the build does.
_ANSWER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import answers, fastjsonschema, serving_folder, v1_request
served = serving_folder.load(Path(sys.argv[2]))
signature = served.signature
request = v1_request.parse_body(dict(signature.example), signature.shape(sys.maxsize))
given = json.loads(answers.to_json({"predictions": served.answer(request)}))["predictions"]
check = fastjsonschema.compile(signature.output)
for value in [given] if signature.whole else given:
    check(value)
"""


def check(folder: Path, tables: Sequence[Path] = ()) -> tuple[list[str], list[str]]:
    """Return (what would stop it, what was looked at and is right), each a line."""
    problems: list[str] = []
    right: list[str] = []
    try:
        model = model_file.read(folder)
    except InvalidArgument as error:
        return [str(error)], []
    right.append(f"{model_file.FILE_NAME}: model {model.name}, project {model.project}")
    for step in (_config(folder, model), _pipelines(folder, model), _code(folder), _serving(folder, model)):
        problems += step
    found, rows = _data(folder, tables)
    problems += found
    if rows is not None:
        right.append(f"data: {rows} rows in {len(tables)} file(s) keep the contract")
    return problems, right


def _config(folder: Path, model: ModelFile) -> Iterator[str]:
    path = folder / model.train.config
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        yield f"{path} is missing: the experiment's configuration (train.config in model.yaml names it)"
        return
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        yield f"{path} cannot be read as YAML: {error}"
        return
    if not isinstance(config, dict):
        yield f"{path} must hold keys and values"
        return
    for key, value in (("workspace", model.workspace), ("project", model.project)):
        if config.get(key) != value:
            yield f"{path}: {key} is {config.get(key)!r}, model.yaml says {value!r}: make them agree"
    if not (config.get("searcher") or {}).get("metric"):
        yield f"{path}: searcher.metric is missing: the best checkpoint is chosen by it"
    yield from _entrypoint(folder, config.get("entrypoint"), path)


def _entrypoint(folder: Path, entrypoint: Any, path: Path) -> Iterator[str]:
    words = entrypoint.split() if isinstance(entrypoint, str) else list(entrypoint or ())
    if not words:
        yield f"{path}: entrypoint is missing: module:TrialClass, or a command such as python3 train.py"
    elif len(words) == 1 and ":" in words[0]:
        module, _, name = words[0].partition(":")
        source = folder / f"{module.replace('.', '/')}.py"
        if not source.is_file():
            yield f"{path}: entrypoint {words[0]!r}: there is no {source.name}"
        elif name not in _classes(source):
            yield f"{path}: entrypoint {words[0]!r}: {source.name} has no class {name}"
    else:
        for word in words:
            if word.endswith(".py") and not (folder / word).is_file():
                yield f"{path}: entrypoint {' '.join(words)!r}: there is no {word}"


def _pipelines(folder: Path, model: ModelFile) -> Iterator[str]:
    for name, text in pipelines.render(model).items():
        path = folder / model.pipelines / name
        if path.exists():
            try:
                spec = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                yield f"{path}: not JSON: {error}"
                continue
            if spec.get("pipeline") != json.loads(text)["pipeline"]:
                yield f"{path}: is another pipeline than model.yaml names: pdk apply --regenerate writes it anew"


def _code(folder: Path) -> Iterator[str]:
    """Modules that do not compile, and imports that nothing here answers to."""
    own = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
    for path in sorted([*folder.glob("*.py"), *(folder / "serving").glob("*.py")]):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError) as error:
            yield f"{path}: is no Python: {error}"
            continue
        for name in sorted(set(_imports(tree))):
            if name not in own | {each.stem for each in path.parent.glob("*.py")} and not _installed(name):
                yield f"{path}: imports {name}, which is not installed: pip install it, or name it in requirements.txt"


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _installed(name: str) -> bool:
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _serving(folder: Path, model: ModelFile) -> Iterator[str]:
    serving = folder / "serving"
    if model.build.handler is not None or (serving / "handler.py").is_file():
        return
    source = serving / "model.py"
    if not source.is_file():
        yield f"{source} is missing: it holds the class Model that answers (docs/your-own-model.md)"
        return
    methods = _classes(source).get("Model")
    if methods is None:
        yield f"{source} has no class Model"
    elif "predict" not in methods:
        yield f"{source}: class Model has no method predict(inputs)"
    elif (serving / "signature.json").is_file():  # a whole folder, not only its source
        answered = _child(_ANSWER, str(shipped_folder() / "containers" / "deploy"), str(serving))
        if answered.returncode:
            yield f"{serving} does not answer its example: {_last_line(answered)}"


def _classes(path: Path) -> dict[str, set[str]]:
    """The classes of a module and their methods, from its text; bases within it are looked at too."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return {}  # said by _code
    classes: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            own = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
            inherited = [classes.get(base.id, {"predict"}) for base in node.bases if isinstance(base, ast.Name)]
            classes[node.name] = own.union(*inherited)
    return classes


def _data(folder: Path, tables: Sequence[Path]) -> tuple[list[str], int | None]:
    """What breaks the contract, and how many rows keep it."""
    missing = [f"{path}: no such file" for path in tables if not path.is_file()]
    if missing:
        return missing, None
    if not (folder / "contract.json").is_file():
        return ([f"{folder} has no contract.json to check {tables[0]} against"] if tables else []), None
    done = _child(_READ, str(folder), *map(str, tables))
    if done.returncode:
        return [f"{folder}: the contract cannot be checked: {_last_line(done)}"], None
    said: dict[str, Any] = json.loads(done.stdout)
    return list(said.get("problems", ())), said.get("rows")


def _child(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", script, *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"not done within {SECONDS} seconds")


def _last_line(done: "subprocess.CompletedProcess[str]") -> str:
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"its process ended with exit code {done.returncode}"
