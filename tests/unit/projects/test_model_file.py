import re
from pathlib import Path

import pytest
import yaml

from pdk.projects.model_file import BadModelFile, parse, read


def test_the_name_alone_is_enough():
    model = parse({"name": "rents"}, "model.yaml")
    assert (model.project, model.data_repo, model.secret, model.code.repo) == (
        "rents", "rents-data", "rents-secret", "rents-code",
    )  # fmt: skip
    assert (model.train_pipeline, model.deploy_pipeline, model.rollout_pipeline) == (
        "rents-train", "rents-deploy", "rents-rollout",
    )  # fmt: skip
    assert model.rollout.limits == {"cpu": "2", "memory": "2Gi"}


def test_what_is_given_replaces_the_default(tmp_path):
    document = {
        "name": "a", "project": "p", "code": {"repo": "c", "retrain": True}, "train": {"incremental": False},
        "build": {"handler": "h.py", "extra_files": ["x.json"]}, "rollout": {"requests": {"cpu": 1}},
    }  # fmt: skip
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(document))
    model = read(tmp_path)
    assert (model.project, model.code.repo, model.code.retrain, model.train.incremental) == ("p", "c", True, False)
    assert model.build.extra_files == ("x.json",)
    assert model.rollout.requests == {"cpu": "1"}


def test_an_empty_key_is_its_default():
    assert parse({"name": "a", "build": {"handler": None}, "project": None}, "f").project == "a"


BAD = {
    "no mapping": ([], "must hold keys and values, not a list"),
    "empty": (None, "must hold keys and values, not nothing"),
    "no name": ({}, "name is missing"),
    "name a number": ({"name": 3}, "name must be a text, not 3"),
    "name upper case": ({"name": "Rents"}, "'Rents' must begin with a letter"),
    "name long": ({"name": "a" * 41}, "at most 40"),
    "near miss": ({"name": "a", "rollouts": {}}, "unknown key 'rollouts'; did you mean 'rollout'?"),
    "far miss": ({"name": "a", "rollout": {"zzz": 1}}, "unknown key 'rollout.zzz'; known are image"),
    "a text for a section": ({"name": "a", "train": "fast"}, "train. must hold keys and values, not a str"),
    "a text for a number": ({"name": "a", "rollout": {"timeout": "10m"}}, "rollout.timeout must be a whole number"),
    "a yes for a number": ({"name": "a", "rollout": {"timeout": True}}, "rollout.timeout must be a whole number"),
    "nothing to wait": ({"name": "a", "rollout": {"timeout": 0}}, "rollout.timeout must be at least 1"),
    "a repo with a slash": ({"name": "a", "data_repo": "a/b"}, "data_repo 'a/b' must hold letters"),
    "extra files alone": ({"name": "a", "build": {"extra_files": ["x"]}}, "go with a handler"),
    "a shell": (
        {"name": "a", "train": {"config": "c.yaml; rm -r /"}},
        "train.config 'c.yaml; rm -r /' must",
    ),
    "a shell in a pair": ({"name": "a", "rollout": {"limits": {"cpu": "$(id)"}}}, "rollout.limits '$(id)' must be"),
    "an option": ({"name": "a", "build": {"handler": "--x"}}, "build.handler '--x' must be a plain word"),
    "a git commit starts nothing": ({"name": "a", "code": {"retrain": True, "git_sub_dir": "x"}}, "starts no job"),
}


@pytest.mark.parametrize(("document", "text"), BAD.values(), ids=BAD)
def test_what_cannot_be_used_is_named(document, text):
    with pytest.raises(BadModelFile) as refused:
        parse(document, "model.yaml")
    assert text in str(refused.value)
    assert str(refused.value).startswith("model.yaml: ")


def test_a_folder_without_the_file_is_none(tmp_path):
    with pytest.raises(BadModelFile, match="is no model's folder"):
        read(tmp_path)
    (tmp_path / "model.yaml").write_text("a: [")
    with pytest.raises(BadModelFile, match="cannot be read as YAML"):
        read(tmp_path)


def test_the_guide_names_every_key_with_its_default():
    guide = (Path(__file__).parents[3] / "docs" / "your-own-model.md").read_text()
    document = yaml.safe_load(re.search(r"```yaml\n(.*?)```", guide, re.DOTALL)[1])
    assert parse({**document, "description": ""}, "guide") == parse({"name": "tumours"}, "defaults")
