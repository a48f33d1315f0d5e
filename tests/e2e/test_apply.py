"""`pdk apply` against running servers: done half, again, twice at once, changed, and undone."""

import json
import subprocess
import sys

import kubernetes
import pytest
from pachyderm_sdk.api import pfs, pps

MODEL = """\
name: rents
description: What a flat costs
rollout: {timeout: 60}
"""


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "rents"
    (root / "serving").mkdir(parents=True)
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "x.pyc").write_bytes(b"x")
    (root / "model.yaml").write_text(MODEL)
    (root / "const.yaml").write_text("name: rents\n")
    (root / "serving" / "model.py").write_text("class Model: ...\n")
    return root


def heads(systems, repo):
    handle = pfs.Repo(name=repo, type="user", project=pfs.Project(name="rents"))
    return [info.commit.id for info in systems.pachyderm.pfs.list_commit(repo=handle)]


def code_files(systems):
    commit = pfs.Commit.from_uri("rents/rents-code@master")
    infos = systems.pachyderm.pfs.walk_file(file=pfs.File(commit=commit, path="/"))
    return {info.file.path for info in infos if info.file_type == pfs.FileType.FILE}


def pipeline(systems, name):
    handle = pps.Pipeline(name=name, project=pfs.Project(name="rents"))
    return systems.pachyderm.pps.inspect_pipeline(pipeline=handle, details=True)


def test_apply_makes_what_is_missing_and_changes_what_differs(module_stack, folder):
    systems = module_stack.systems()
    first = module_stack.pdk("apply", str(folder)).stdout
    for made in ("project rents created", "repo rents-data created", "secret rents-secret created"):
        assert made in first
    assert "pdk put file rents-data@master:FILE -f FILE --project rents" in first
    assert code_files(systems) == {"/model.yaml", "/const.yaml", "/serving/model.py"}
    core = kubernetes.client.CoreV1Api(systems.kubernetes)
    assert core.read_namespaced_service_account("pach-deploy", systems.namespace).secrets[0].name == "pach-deploy"
    assert "rents" in [each.name for each in systems.determined.get_workspace("pdk").list_projects()]

    again = module_stack.pdk("apply", str(folder)).stdout
    assert "created" not in again.partition("Ready.")[0]
    assert "secret rents-secret updated" in again
    commits = heads(systems, "rents-code")

    (folder / "serving" / "model.py").write_text("class Model: 1\n")
    (folder / "const.yaml").unlink()
    (folder / "model.yaml").write_text(MODEL.replace("60", "90"))
    changed = module_stack.pdk("apply", str(folder)).stdout
    assert "code committed" in changed
    assert "rollout-pipeline.json differs from what model.yaml gives: applied as it stands" in changed
    assert code_files(systems) == {"/model.yaml", "/serving/model.py"}
    assert len(heads(systems, "rents-code")) == len(commits) + 1
    assert "--timeout 60" in pipeline(systems, "rents-rollout").user_spec_json

    regenerated = module_stack.pdk("apply", str(folder), "--regenerate").stdout
    assert "pipeline rents-rollout updated" in regenerated
    assert "--timeout 90" in pipeline(systems, "rents-rollout").user_spec_json


def test_twice_at_once_is_once(module_stack, folder):
    (folder / "model.yaml").write_text("name: twice\nproject: twice\n")
    command = [sys.executable, "-m", "pdk.cli.main", "apply", str(folder)]
    both = [
        subprocess.Popen(
            command, env=module_stack.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    for each in both:
        output, _ = each.communicate(timeout=120)
        assert each.returncode == 0, output
    systems = module_stack.systems()
    projects = [each.name for each in systems.determined.get_workspace("pdk").list_projects()]
    assert projects.count("twice") == 1
    names = [info.pipeline.name for info in systems.pachyderm.pps.list_pipeline()]
    assert sorted(name for name in names if name.startswith("twice")) == [
        "twice-deploy",
        "twice-rollout",
        "twice-train",
    ]
    secrets = [info.secret.name for info in systems.pachyderm.pps.list_secret().secret_info]
    assert secrets.count("twice-secret") == 1


def test_a_folder_that_cannot_be_used_makes_nothing(module_stack, folder):
    systems = module_stack.systems()
    before = [info.project.name for info in systems.pachyderm.pfs.list_project()]
    (folder / "model.yaml").write_text("name: nothing\n")
    (folder / "big.bin").write_bytes(b"0" * (20 * 1024**2 + 1))
    refused = module_stack.pdk("apply", str(folder), check=False)
    assert refused.returncode == 1
    assert "big.bin has 20971521 bytes, too many for code" in refused.stderr
    (folder / "big.bin").unlink()
    (folder / "link").symlink_to("/etc/passwd")
    assert "a link that leads out of the folder" in module_stack.pdk("apply", str(folder), check=False).stderr
    (folder / "link").unlink()
    (folder / "pipelines").mkdir(exist_ok=True)
    (folder / "pipelines" / "training-pipeline.json").write_text(json.dumps({"pipeline": {"name": "other"}}))
    assert (
        "is not pipeline nothing-train of project nothing" in module_stack.pdk("apply", str(folder), check=False).stderr
    )
    assert [info.project.name for info in systems.pachyderm.pfs.list_project()] == before


def test_delete_undoes_it_and_leaves_others_alone(module_stack, folder):
    systems = module_stack.systems()
    for name in ("gone", "stays"):
        (folder / "model.yaml").write_text(f"name: {name}\n")
        module_stack.pdk("apply", str(folder), "--regenerate")
    assert module_stack.pdk("delete", "project", "gone", "--all", check=False).returncode != 0  # nobody said yes
    said = module_stack.pdk("delete", "project", "gone", "--all", "--yes").stdout
    for what in ("pipeline gone-train", "repo gone-data", "repo gone-code", "secret gone-secret", "project gone"):
        assert f"{what} deleted" in said
    assert "stays" not in said
    assert "gone" not in [info.project.name for info in systems.pachyderm.pfs.list_project()]
    assert "gone" not in [each.name for each in systems.determined.get_workspace("pdk").list_projects()]
    assert "stays-train" in [info.pipeline.name for info in systems.pachyderm.pps.list_pipeline()]
    assert "stays-secret" in [info.secret.name for info in systems.pachyderm.pps.list_secret().secret_info]
    again = module_stack.pdk("delete", "project", "gone", "--all", "--yes", check=False)
    assert (again.returncode, "project 'gone' does not exist" in again.stderr) == (1, True)
    (folder / "model.yaml").write_text("name: gone\n")
    assert "project gone created" in module_stack.pdk("apply", str(folder), "--regenerate").stdout
