"""What pyproject.toml declares, what the code imports and what the lock pins are the same packages."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# `google` belongs to many distributions; protobuf is the one whose part of it is imported.
SHARED = {"google.protobuf": "protobuf", "google.cloud.storage": "google-cloud-storage"}


def requirements(lines):
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def declared(*extras):
    return requirements([*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])])


def pinned(path):
    lines = (line.split(" \\")[0] for line in path.read_text().splitlines())
    found = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)$")
    return {canonicalize_name(m[1]): m[2] for m in map(found.match, lines) if m}


LOCK = pinned(ROOT / "requirements.lock") | pinned(ROOT / "requirements-torch.txt")


def imported(folder):
    """Yield (module, file) of everything that is neither of the standard library nor of the folder itself."""
    own = {p.stem for p in folder.rglob("*") if p.suffix == ".py" or p.is_dir()} | {"pdk"}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [f"{node.module}.{a.name}" for a in node.names]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and (top not in own or name.startswith("google.")):
                    yield name, path


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("src/pdk", ()),
        ("containers/train", ("train",)),
        ("containers/deploy", ("deploy",)),
        ("experiment", ("train", "parquet")),
        ("sample-data", ()),
    ],
)
def test_every_imported_package_is_declared(folder, extras):
    providers = importlib.metadata.packages_distributions()
    names = set(declared(*extras))
    missing = {}
    for module, path in imported(ROOT / folder):
        shared = next((d for prefix, d in SHARED.items() if module.startswith(prefix)), None)
        top = module.partition(".")[0]
        candidates = {canonicalize_name(d) for d in ([shared] if shared else providers.get(top, [top]))}
        if not candidates & names:
            missing[module] = path
    assert missing == {}


def test_the_lock_pins_what_is_declared():
    for name, requirement in declared("train", "deploy", "dev").items():
        if name != "pdk":
            assert LOCK[name] in requirement.specifier, requirement


def test_every_dependency_is_bounded():
    for requirement in declared("train", "deploy", "dev").values():
        if requirement.name != "pdk":
            operators = {s.operator for s in requirement.specifier}
            assert operators in ({"=="}, {">=", "<"}), requirement


@pytest.mark.parametrize("container", ["train", "deploy"])
def test_the_images_have_what_is_locked(container):
    pins = pinned(ROOT / "containers" / container / "requirements.txt")
    assert {name: LOCK[name] for name in pins} == pins


def test_the_lock_has_hashes_and_no_part_of_torchs_cuda_build():
    entries = re.split(r"\n(?=[A-Za-z])", (ROOT / "requirements.lock").read_text())
    pins = [entry for entry in entries if "==" in entry]
    assert [entry.splitlines()[0] for entry in pins if "--hash=sha256:" not in entry] == []
    assert [name for name in LOCK if name.startswith(("nvidia-", "triton", "cuda-"))] == []
    assert set(pinned(ROOT / "requirements-torch.txt")) == {"torch"}
