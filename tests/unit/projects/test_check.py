import json

import pytest

from pdk.projects.check import check
from pdk.projects.new import Names, new_from_csv, new_from_template
from pdk.projects.profile import profile


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"{20 + i % 7}.5,{'ab'[i % 2]},{400 + 9 * (i % 7) + i % 3}.1\n" for i in range(60)]
    path.write_text("size,kind,rent\n" + "".join(rows))
    return path


@pytest.fixture
def folder(tmp_path, table):
    new_from_csv(tmp_path / "rents", Names("rents"), profile(table, "rent"))
    return tmp_path / "rents"


def test_a_fresh_folder_and_its_data_are_right(folder, table):
    problems, right = check(folder, [table])
    assert problems == []
    assert right[-1] == "data: 60 rows in 1 file(s) keep the contract"


@pytest.mark.parametrize("template", ["core-api", "image", "sklearn"])
def test_the_templates_are_right(tmp_path, template):
    new_from_template(tmp_path / "mine", Names("mine"), template)
    assert check(tmp_path / "mine")[0] == []


def replace(name, old, new):
    def damage(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return damage


DAMAGES = {
    "no model file": (lambda folder: (folder / "model.yaml").unlink(), "is no model's folder"),
    "no config": (lambda folder: (folder / "const.yaml").unlink(), "const.yaml is missing"),
    "another project": (
        replace("const.yaml", "project: rents", "project: flats"),
        "project is 'flats', model.yaml",
    ),
    "no metric": (replace("const.yaml", "metric: val_rmse", "matric: val_rmse"), "searcher.metric is missing"),
    "no class": (replace("const.yaml", "TabularTrial", "TableTrial"), "model_def.py has no class TableTrial"),
    "no module": (replace("const.yaml", "model_def:", "trial:"), "there is no trial.py"),
    "no script": (replace("const.yaml", "model_def:TabularTrial", "python3 go.py"), "there is no go.py"),
    "no Python": (replace("network.py", "def build_model(", "def build_model("[::-1]), "network.py: is no Python"),
    "not installed": (
        replace("network.py", "import torch\n", "import torch, tensorflou\n"),
        "imports tensorflou",
    ),
    "no predict": (replace("serving/model.py", "def predict(", "def answer("), "class Model has no method predict"),
    "no Model": (replace("serving/model.py", "class Model:", "class Rents:"), "has no class Model"),
    "no serving": (
        lambda folder: (folder / "serving" / "model.py").unlink(),
        "model.py is missing: it holds",
    ),
    "another pipeline": (replace("pipelines/training-pipeline.json", '"rents-train"', '"x"'), "another pipeline than"),
    "a broken contract": (replace("contract.json", '"version": 1', '"version": 9'), "version must be 1"),
    "a name that is lost": (
        replace("contract.json", '"name": "size"', '"name": "sise"'),
        "the header lacks this",
    ),
}


@pytest.mark.parametrize(("damage", "text"), DAMAGES.values(), ids=DAMAGES)
def test_what_would_stop_it_is_named(folder, table, damage, text):
    damage(folder)
    problems, _ = check(folder, [table])
    assert text in "\n".join(problems)


def test_several_things_are_said_at_once(folder, tmp_path):
    (folder / "const.yaml").unlink()
    (folder / "serving" / "model.py").unlink()
    assert len(check(folder, [tmp_path / "nothing.csv"])[0]) == 3


SIGNATURE = {
    "task": "free", "input": {"type": "number"}, "output": {"type": "number"}, "example": {"instances": [1, 2]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "signature", "text"),
    [
        ("def predict(self, inputs): return inputs", {}, None),
        ("def predict(self, inputs): return ['a', 'b']", {}, "data must be number"),
        ("def predict(self, inputs): return [1]", {}, "1 predictions for 2 rows"),
        ("def predict(self, inputs): return inputs", {"output": {"type": "colour"}}, "does not answer its example"),
        ("def predict(self, inputs): import os; os._exit(4)", {}, "exit code 4"),
    ],
)
def test_a_whole_serving_folder_answers_its_example(folder, model, signature, text):
    (folder / "serving" / "model.py").write_text(f"class Model:\n    {model}\n")
    (folder / "serving" / "signature.json").write_text(json.dumps({**SIGNATURE, **signature}))
    problems, _ = check(folder)
    assert (text is None and problems == []) or (text is not None and text in problems[0])
