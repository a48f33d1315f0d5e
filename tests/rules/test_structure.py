"""The structure the design asks for: layers, sizes, who may touch what."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE_FOLDERS = ("src", "containers", "experiment", "templates", "examples", "sample-data", "scripts", "bench")


def python_files(*folders):
    found = sorted(
        p for folder in folders for p in (ROOT / folder).rglob("*.py") if not {"__pycache__", "build"} & set(p.parts)
    )
    assert found, folders  # a rule over no file would hold
    return found


CODE = python_files(*CODE_FOLDERS)
TESTS = python_files("tests")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def functions(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_the_dependency_rule_holds():
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_pipeline_never_imports_pdk():
    for path in python_files("containers", "experiment", "templates", "sample-data"):
        assert not [name for name in imports(path) if name.split(".")[0] == "pdk"], path


def lines(path):
    return path.read_text().count("\n")


def function_lengths(paths):
    return sorted((f.end_lineno - f.lineno + 1, f"{path}:{f.lineno}") for path in paths for f in functions(path))


# What the tree measured when these were last set; they go down only.
@pytest.mark.parametrize(
    ("paths", "longest_file", "nine_of_ten_files", "longest_function", "nine_of_ten_functions", "half_of_functions"),
    [(CODE, 420, 250, 46, 16, 6), (TESTS, 415, 230, 57, 14, 6)],
    ids=["code", "tests"],
)
def test_files_and_functions_stay_small(
    paths, longest_file, nine_of_ten_files, longest_function, nine_of_ten_functions, half_of_functions
):
    files = sorted((lines(path), str(path)) for path in paths)
    assert [file for file in files if file[0] > longest_file] == []
    assert files[len(files) * 9 // 10][0] <= nine_of_ten_files
    lengths = function_lengths(paths)
    assert [function for function in lengths if function[0] > longest_function] == []
    assert lengths[len(lengths) * 9 // 10][0] <= nine_of_ten_functions
    assert lengths[len(lengths) // 2][0] <= half_of_functions


def test_kubernetes_knows_no_inference_service():
    words = re.compile("inference ?service|serving ?runtime|kserve|torchserve|knative", re.IGNORECASE)
    for path in python_files("src/pdk/kubernetes"):
        assert not words.search(path.read_text()), f"{path}: kinds of others are registered, see pdk/kserve/kinds"


def test_only_the_cli_reads_the_environment():
    pattern = re.compile(r"os\.environ|os\.getenv|environ\.get")
    for path in python_files("src"):
        if "cli" not in path.relative_to(ROOT / "src/pdk").parts:
            assert not pattern.search(path.read_text()), f"{path}: take it as an argument instead"


def test_no_error_is_swallowed():
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or (
                    isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
                )
                only_pass = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
                assert not (broad and only_pass), f"{path}:{node.lineno}"


def test_no_module_with_a_name_that_says_nothing():
    banned = {"utils", "util", "common", "helpers", "helper", "misc", "manager"}
    assert not [p for p in CODE if p.stem in banned]


def test_every_module_says_what_it_is():
    for path in CODE:
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_unit_tests_mirror_the_code():
    known = {p.relative_to(ROOT / "src/pdk").parent for p in python_files("src")}
    known |= {
        Path("experiment"),
        Path("train"),
        Path("deploy"),
        Path("sample_data"),
        Path("scripts"),
        Path("templates"),
    }
    for path in python_files("tests/unit"):
        assert path.parent.relative_to(ROOT / "tests/unit") in known, path


def test_the_tree_names_no_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    pattern = re.compile(r"(^|[^A-Za-z0-9_.])/(work|farm)/")
    for name in filter(None, tracked):
        path = ROOT / name
        if path.is_file() and path.suffix not in {".lock", ".png"} and path != Path(__file__):
            assert not pattern.search(path.read_text(errors="replace")), name


def test_http_servers_listen_in_one_way():
    """`listening_socket` turns Nagle's delay off, which would cost each small answer 40 ms."""
    hosts = ("determined/api/server", "kubernetes/api/server", "kserve/ingress/server", "pachyderm/api/s3")
    for host in hosts:
        assert "listening_socket(" in (ROOT / "src/pdk" / f"{host}.py").read_text(), host
    binding = re.compile(r"socket\(.*SOCK_STREAM|ThreadingHTTPServer|\.bind\(\(")
    others = [path for path in python_files("src") if binding.search(path.read_text())]
    assert others == [ROOT / "src/pdk/web/listening.py"]


def test_the_containers_and_the_templates_know_no_model_by_name():
    files = [path for folder in ("containers", "templates") for path in (ROOT / folder).rglob("*") if path.is_file()]
    texts = [path for path in files if "__pycache__" not in path.parts]
    assert texts
    for path in texts:
        assert not re.search("churn|customer", path.read_text(), re.IGNORECASE), (
            f"{path}: what is a model's own lies in its folder"
        )
