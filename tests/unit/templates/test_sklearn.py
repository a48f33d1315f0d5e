"""The template sklearn off the cluster: trained for each task, and the folder it leaves asked without a server."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import template_project
import yaml

sys.path.append(str(Path(__file__).parents[3] / "containers" / "deploy"))
import serving_folder
import v1_request

FOREST = """
from sklearn.ensemble import RandomForestClassifier

def make_estimator(task):
    return RandomForestClassifier(random_state=0)
"""
LABELS = {"binary": [0, 1], "multiclass": {"low": 0, "high": 2, "mid": 1}}
HIGH, LOW = (3.0, -3.0, "red"), (-3.0, 3.0, "blue")


def columns_of(task):
    random = np.random.default_rng(1)
    length, width, colour = random.normal(size=200), random.normal(size=200), random.choice(["red", "blue"], 200)
    value = 2 * length - width + (colour == "red")
    bands = np.array(["low", "mid", "high"])[np.digitize(value, [-1, 1])]
    labels = {"binary": (value > 0).astype(int), "multiclass": bands, "regression": value * 1000}
    columns = {"length": length, "width": width, "colour": colour, "label": labels[task]}
    return {name: column.tolist() for name, column in columns.items()}


@pytest.fixture
def train(tmp_path):
    """Train a project by hand, with another estimator perhaps; return its serving folder, loaded, and the log."""
    folder = template_project.make("sklearn", "boxes", tmp_path / "boxes")
    loaded = []

    def train(task, estimator=None):
        columns = columns_of(task)
        lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        (folder / "data.csv").write_text("\n".join(lines) + "\n")
        config = yaml.safe_load((folder / "const.yaml").read_text())
        config["data"]["files"] = ["data.csv"]
        (folder / "const.yaml").write_text(yaml.safe_dump(config))
        contract = json.loads((folder / "contract.json").read_text()) | {"task": task}
        fact = {"values": LABELS[task]} if task in LABELS else {"dtype": "float"}
        contract["columns"][-1] = {"name": "label", "kind": "label", **fact}
        (folder / "contract.json").write_text(json.dumps(contract))
        if estimator:
            (folder / "estimator.py").write_text(estimator)
        done = subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        newest = max(folder.glob("checkpoints/*/serving"), key=lambda path: path.stat().st_mtime)
        loaded.append(serving_folder.load(newest))
        return loaded[-1], done.stderr

    yield train
    for served in loaded:
        served.unload()


def answer(served, *rows, **parameters):
    names = ("length", "width", "colour")
    instances = [{**dict(zip(names, row, strict=True)), "parameters": parameters} for row in rows]
    return served.answer(v1_request.parse_body({"instances": instances}, served.signature.shape(100)))


def example(served):
    return served.answer(v1_request.parse_body(dict(served.signature.example), served.signature.shape(100)))


def test_binary(train):
    served, log = train("binary")
    assert log.count("val_score") == 3
    assert answer(served, HIGH, LOW) == [[1], [0]]
    (_, high), (_, low) = answer(served, HIGH, LOW, probabilities=True)
    assert 0 <= low < 0.1 < 0.9 < high <= 1
    assert len(example(served)) == 2
    with pytest.raises(serving_folder.BadInput, match="row 1, column 'length': expected a number"):
        answer(served, HIGH, ("x", 1.0, "red"))


def test_an_estimator_without_passes_is_fitted_once(train):
    served, log = train("binary", FOREST)
    assert log.count("val_score") == 1
    assert answer(served, HIGH, LOW) == [[1], [0]]
    assert (served.folder / "requirements.txt").read_text().startswith("scikit-learn==")


def test_multiclass(train):
    served, _ = train("multiclass")
    assert answer(served, HIGH, LOW) == [["high"], ["low"]]
    ((label, probabilities),) = answer(served, (0.0, 0.0, "blue"), probabilities=True)
    assert (label, np.argmax(probabilities), sum(probabilities)) == ("mid", 1, pytest.approx(1))
    assert served.signature.document["classes"] == ["low", "mid", "high"]
    assert len(example(served)[0][1]) == 3


def test_regression(train):
    served, _ = train("regression")
    ((high,), (low,)) = answer(served, (1.0, -1.0, "red"), (-1.0, 1.0, "blue"))
    assert (high, low) == (pytest.approx(4000, abs=600), pytest.approx(-3000, abs=600))
    assert (served.signature.task, len(example(served))) == ("regression", 2)


def test_a_missing_scikit_learn_is_named_with_what_installs_it(tmp_path):
    folder = template_project.make("sklearn", "boxes", tmp_path / "boxes")
    (folder / "sklearn.py").write_text("raise ModuleNotFoundError('no')\n")
    done = subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert "ImportError: this experiment needs scikit-learn: pip install 'pdk[sklearn]'" in done.stderr
