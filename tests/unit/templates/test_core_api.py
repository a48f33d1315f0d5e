"""The template core-api off the cluster: trained by hand, and the folder it leaves asked without a server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import template_project
import yaml

sys.path.append(str(Path(__file__).parents[3] / "containers" / "deploy"))
import serving_folder
import v1_request

ROWS = "length,width,kind\n1.4,0.2,setosa\n1.3,0.2,setosa\n4.7,1.4,versicolor\n4.5,1.5,versicolor\n1.5,0.2,setosa\n"


@pytest.fixture
def train(tmp_path):
    """Train by hand on the text of a CSV; return (process, serving folder or None)."""
    folder = template_project.make("core-api", "flowers", tmp_path / "flowers")

    def train(text):
        (folder / "data.csv").write_text(text)
        config = yaml.safe_load((folder / "const.yaml").read_text())
        config["data"]["files"] = ["data.csv"]
        (folder / "const.yaml").write_text(yaml.safe_dump(config))
        done = subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, text=True, check=False)
        return done, next(folder.glob("checkpoints/*/serving"), None)

    return train


def test_what_it_leaves_answers_the_example_and_says_which_row_is_wrong(train):
    done, folder = train(ROWS)
    assert done.returncode == 0, done.stderr
    assert "'accuracy': 1.0" in done.stderr
    served = serving_folder.load(folder)
    shape = served.signature.shape(100)
    assert served.answer(v1_request.parse_body(dict(served.signature.example), shape)) == ["setosa"]
    rows = {"instances": [{"length": 4.6, "width": 1.5}, {"length": 1.2, "width": "x"}]}
    assert served.answer(v1_request.parse_body({"instances": rows["instances"][:1]}, shape)) == ["versicolor"]
    with pytest.raises(serving_folder.BadInput, match="row 1, column 'width': a finite number is needed, not 'x'"):
        served.answer(v1_request.parse_body(rows, shape))
    assert json.loads((folder / "state.json").read_text())["counts"] == {"setosa": 2, "versicolor": 2}
    served.unload()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"data.csv: the header must name columns and the label, not \[\]"),
        ("length,kind\nx,a\n", "data.csv, row 1: could not convert string to float: 'x'"),
        ("length,kind\n1,2,a\n", "data.csv, row 1: 1 finite numbers and a label are needed"),
        ("length,kind\nnan,a\n", "data.csv, row 1: 1 finite numbers"),
        ("length,kind\n1,a\n", "data.csv: 1 rows are too few"),
    ],
)
def test_data_that_does_not_fit_is_named(train, text, problem):
    done, folder = train(text)
    assert (done.returncode, folder) == (1, None)
    assert done.stderr.strip().splitlines()[-1].startswith("ValueError: " + problem.replace("\\", ""))
