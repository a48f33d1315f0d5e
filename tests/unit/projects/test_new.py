import json
from pathlib import Path

import pytest
import yaml

from pdk.base.errors import AlreadyExists, InvalidArgument
from pdk.projects import model_file
from pdk.projects.new import Names, contract_json, new_from_csv, new_from_template, tabular_files, templates
from pdk.projects.profile import profile

ROOT = Path(__file__).parents[3]


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "size,kind,rent\n" + "".join(f"{20 + i}.5,{'ab'[i % 2]},{400 + 9 * i + i % 3}.1\n" for i in range(99))
    )
    return profile(path, "rent")


def test_the_churn_project_is_what_the_template_gives_for_its_contract():
    """All that is its own is the contract, the names and the pipelines' place; the rest is the template."""
    contract = json.loads((ROOT / "experiment" / "contract.json").read_text())
    names = Names("pdk-customer-churn", "Will this customer leave?", "pdk-customer-churn", "PDK Demos")
    made = tabular_files(names, contract, 31_009)
    there = {
        path.relative_to(ROOT / "experiment").as_posix(): path.read_text()
        for path in (ROOT / "experiment").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name not in ("model.yaml",)
    }
    assert made == there


def test_a_folder_has_all_that_is_needed(tmp_path, found):
    new_from_csv(tmp_path / "rents", Names("rents", "What a flat costs: monthly"), found)
    folder = tmp_path / "rents"
    model = model_file.read(folder)
    assert (model.name, model.project, model.data_repo) == ("rents", "rents", "rents-data")
    config = yaml.safe_load((folder / "const.yaml").read_text())
    assert (config["name"], config["description"], config["project"]) == (
        "rents",
        "What a flat costs: monthly",
        "rents",
    )
    assert (config["searcher"]["metric"], config["searcher"]["smaller_is_better"]) == ("val_rmse", True)
    assert config["hyperparameters"]["global_batch_size"] == 16
    assert json.loads((folder / "contract.json").read_text()) == found.contract
    request = json.loads((folder / "sample-request.json").read_text())
    assert request == {"instances": found.sample}
    assert sorted(path.name for path in (folder / "pipelines").iterdir()) == [
        "deployment-pipeline.json", "rollout-pipeline.json", "training-pipeline.json",
    ]  # fmt: skip
    assert "pdk put file rents-data@master:part1.csv" in (folder / "README.md").read_text()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".new-")]


def test_a_folder_that_is_there_stays_as_it_is(tmp_path, found):
    (tmp_path / "rents").mkdir()
    with pytest.raises(AlreadyExists, match="choose another name, or remove it"):
        new_from_csv(tmp_path / "rents", Names("rents"), found)
    assert list((tmp_path / "rents").iterdir()) == []


def test_a_folder_is_there_whole_or_not_at_all(tmp_path, found, monkeypatch):
    monkeypatch.setattr("pdk.projects.pipelines.render", lambda model: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        new_from_csv(tmp_path / "deep" / "rents", Names("rents"), found)
    assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.parametrize("template", [name for name in templates() if name != "tabular"])
def test_a_template_carries_the_models_name(tmp_path, template):
    new_from_template(tmp_path / "mine", Names("mine"), template)
    assert model_file.read(tmp_path / "mine").name == "mine"
    texts = [path.read_text() for path in (tmp_path / "mine").rglob("*") if path.is_file()]
    assert not [text for text in texts if "__NAME__" in text]
    assert yaml.safe_load((tmp_path / "mine" / "const.yaml").read_text())["name"] == "mine"


def test_a_template_that_is_none_is_named(tmp_path):
    with pytest.raises(InvalidArgument, match="there is no template 'tabula'; there are tabular"):
        new_from_template(tmp_path / "mine", Names("mine"), "tabula")
    with pytest.raises(InvalidArgument, match="name it with --from-csv"):
        new_from_template(tmp_path / "mine", Names("mine"), "tabular")


def test_a_contract_is_written_a_column_on_a_line():
    text = (ROOT / "experiment" / "contract.json").read_text()
    assert contract_json(json.loads(text)) == text
