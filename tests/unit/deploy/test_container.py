"""The files around the code: pipeline specs, pins, image, notebook, and what the serving image demands."""

import ast
import json
import re
from importlib.metadata import version
from pathlib import Path

import deploy
import nbformat
import pytest
from deployment import staging
from pachyderm_sdk.api import pps

ROOT = Path(__file__).resolve().parents[3]
CONTAINER = ROOT / "containers" / "deploy"
PIPELINES = {"deployment-pipeline": "build", "rollout-pipeline": "rollout"}


@pytest.mark.parametrize(("name", "command"), PIPELINES.items())
def test_pipeline_specs_are_pachyderms_and_call_a_command_that_exists(name, command):
    document = json.loads((ROOT / "pipelines" / f"{name}.json").read_text())
    spec = pps.CreatePipelineRequest().from_dict(document)
    assert spec.pipeline.project.name == "pdk-customer-churn"
    assert {secret.name for secret in spec.transform.secrets} == {"customer-churn-secret"}
    # A shell drops variables such as `my-repo_COMMIT`, so the input's name must be an identifier.
    assert spec.input.pfs.name.isidentifier()
    assert not spec.input.pfs.empty_files
    (line,) = spec.transform.stdin
    executable, python, script, *arguments = line.split()
    assert (executable, python, script) == ("exec", "python", "deploy.py")
    args = deploy.parser_for({}).parse_args(arguments)
    assert args.command is getattr(deploy, command)
    assert args.deployment_name == "customer-churn"


def test_pins_are_what_is_tested_here():
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (CONTAINER / "requirements.txt").read_text(), re.MULTILINE))
    assert pins == {name: version(name).partition("+")[0] for name in pins}
    assert {"kserve", "kubernetes", "torch", "torchserve", "torch-model-archiver"} <= set(pins)


def test_the_image_holds_every_file_of_the_command():
    dockerfile = (CONTAINER / "Dockerfile").read_text()
    copied = {name for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()}
    modules = {path.name for path in CONTAINER.glob("*.py")}
    assert copied == modules | {"requirements.txt", "deployment"}


@pytest.mark.parametrize("name", staging.GENERIC)
def test_archived_code_is_python_3_9(name):
    """KServe's torchserve image is of that age."""
    ast.parse((CONTAINER / name).read_text(), feature_version=(3, 9))


@pytest.mark.parametrize("path", sorted(CONTAINER.rglob("*.py")), ids=lambda path: path.name)
def test_nothing_imports_the_stack(path):
    names = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert not any(name.split(".")[0] == "pdk" for name in names)


def test_the_notebook_is_whole_and_holds_no_output():
    notebook = nbformat.read(ROOT / "sample-data" / "customer-churn-prediction.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
