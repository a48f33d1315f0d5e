"""Checkpoints of models that are not the churn model, as files by name, and a TorchServe that serves what is built."""

import base64
import contextlib
import http.client
import importlib.util
import io
import json
import sys
from pathlib import Path

_BENCH = Path(__file__).resolve().parents[2] / "bench" / "serving" / "torchserve.py"

IRIS = """
import math
import os

import joblib
import numpy as np


class RowError(Exception):
    def __init__(self, row, column, reason):
        super().__init__(reason)
        self.row, self.column, self.reason = row, column, reason


class Model:
    def load(self):
        self.classifier = joblib.load("classifier.joblib")  # of the working directory

    def preprocess(self, inputs):
        for number, row in enumerate(inputs):
            if row["petal"] == 0:
                raise ValueError("a petal has a length")
            if row["petal"] == "nan":
                raise RuntimeError("the model's own mistake")
            if not isinstance(row["petal"], (int, float)):
                raise RowError(number, "petal", f"expected a number, got {row['petal']!r}")
        return np.array([[row["petal"], row["sepal"]] for row in inputs], dtype=np.float64)

    def predict(self, inputs):
        if (inputs == -1).any():
            raise ValueError("no such flower")
        return self.classifier.predict_proba(inputs)  # refuses NaN and infinity with a ValueError

    def postprocess(self, outputs, parameters=None):
        answers = []
        for number, row in enumerate(outputs):
            label = self.classifier.classes_[int(row.argmax())]
            wanted = parameters[number] if parameters else {}
            if wanted.get("broken"):
                answers.append([label, math.nan])
            elif wanted.get("long"):
                answers.append([label, ["-"] * 20_000])
            else:
                answers.append([label, row] if wanted.get("probabilities") else [label])
        return answers
"""
IRIS_SIGNATURE = {
    "task": "classification",
    "input": {
        "type": "object",
        "properties": {"petal": {"type": "number"}, "sepal": {"type": "number"}},
        "required": ["petal", "sepal"],
    },
    "output": {"type": "array", "items": [{"enum": ["setosa", "virginica"]}, {"type": "array"}], "minItems": 1},
    "classes": ["setosa", "virginica"],
    "parameters": {name: {"type": "boolean"} for name in ("probabilities", "broken", "long")},
    "example": {"instances": [{"data": {"petal": [1.4, 5.6], "sepal": [5.1, 6.3]}}]},
}


def iris():
    """A scikit-learn classifier of two kinds of iris by petal and sepal length; gives (files, classifier)."""
    import joblib  # noqa: PLC0415
    from sklearn.datasets import load_iris  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    data = load_iris()
    kept = data.target != 1
    classifier = LogisticRegression().fit(data.data[kept][:, [2, 0]], data.target_names[data.target[kept]])
    stream = io.BytesIO()
    joblib.dump(classifier, stream)
    files = {"model.py": IRIS, "signature.json": IRIS_SIGNATURE, "classifier.joblib": stream.getvalue()}
    return {f"serving/{name}": content for name, content in files.items()}, classifier


def png(level):
    """A grey picture, as a file has it."""
    from PIL import Image  # noqa: PLC0415

    stream = io.BytesIO()
    Image.new("L", (16, 12), level).save(stream, "PNG")
    return stream.getvalue()


GREY = {
    "serving/model.py": """
import io

import torch
from PIL import Image, UnidentifiedImageError
from pixels import brightness


class InvalidInput(ValueError):
    pass


class Model:
    def preprocess(self, inputs):
        try:
            images = [Image.open(io.BytesIO(given)).convert("L").resize((8, 8)) for given in inputs]
        except UnidentifiedImageError:
            raise InvalidInput("this is no image") from None
        return torch.stack([torch.tensor(list(image.getdata()), dtype=torch.float32) for image in images])

    def predict(self, inputs):
        return brightness(inputs)
""",
    "serving/pixels.py": "def brightness(images):\n    return images.mean(dim=1)\n",
    "serving/signature.json": {
        "task": "regression",
        "input": {"type": "string", "contentEncoding": "base64"},
        "output": {"type": "number"},
        "example": {"instances": [{"b64": base64.b64encode(png(100)).decode()}]},
    },
}


WORDS = {
    "serving/model.py": """
class Model:
    def predict(self, inputs):
        if inputs["text"] == "list":
            return [1]
        return {"words": inputs["text"].split(), "language": inputs.get("language", "en")}
""",
    "serving/signature.json": {
        "task": "free",
        "body": "whole",
        "input": {"type": "object", "required": ["text"]},
        "output": {"type": "object", "required": ["words", "language"]},
        "example": {"text": "one two"},
    },
}
OWN = """
import torch
from ts.torch_handler.base_handler import BaseHandler


class Scaler(BaseHandler):
    def initialize(self, context):
        super().initialize(context)
        self.unit = open("unit.txt").read()

    def preprocess(self, data):
        return torch.tensor([row["x"] for row in data], dtype=torch.float32)

    def postprocess(self, data):
        names = [self.mapping[str(int(value > 5))] for value in data.tolist()]
        return [{"label": name, "value": value, "unit": self.unit} for name, value in zip(names, data.tolist())]
"""


def scaler():
    """A folder with a handler of its own and TorchScript."""
    import torch  # noqa: PLC0415

    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Threshold(2.0, 0.0)), stream)
    files = {
        "handler.py": OWN,
        "net.pt": stream.getvalue(),
        "index_to_name.json": {"0": "low", "1": "high"},
        "unit.txt": "m",
        "sample-request.json": {"instances": [{"x": 1}, {"x": 9}]},
    }
    return {f"serving/{name}": content for name, content in files.items()}


def torchserve():
    """The benchmark's module that starts a TorchServe."""
    spec = importlib.util.spec_from_file_location("bench_torchserve", _BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def served(output, document):
    """A TorchServe that serves what a build made, with the envelope the build asks for."""
    name = document["build"]["served_name"]
    environment = {"TS_SERVICE_ENVELOPE": "kserve" if document["build"]["envelope"] else ""}
    model = output / name
    with torchserve().serving(name, model / "config/config.properties", model / "model-store", environment) as server:
        yield server


def post(server, body, content_type="application/json"):
    """Send one predict; gives (status, parsed answer)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(server.address, timeout=60)
    try:
        path = f"/v1/models/{server.served_name}:predict"
        connection.request("POST", path, data, {"Content-Type": content_type})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def form(parts):
    """A multipart form of files; gives (body, content type)."""
    lines = []
    for name, content in parts.items():
        head = f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="{name}.png"\r\n'
        lines.append(head.encode() + b"Content-Type: image/png\r\n\r\n" + content + b"\r\n")
    return b"".join([*lines, b"--edge--\r\n"]), "multipart/form-data; boundary=edge"
