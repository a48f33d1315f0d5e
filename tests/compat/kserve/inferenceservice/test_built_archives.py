"""What `deploy.py build` makes of models of other kinds, served here as `deploy.py rollout` asks for it."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from checkpoint_files import write_files, write_model_info
from serving_models import GREY, form, png, scaler

pytestmark = pytest.mark.ours  # their models are folders of this machine

DEPLOY = Path(__file__).resolve().parents[4] / "containers" / "deploy" / "deploy.py"
DOUBLE = {
    "serving/model.py": "class Model:\n    def predict(self, inputs):\n        return [2 * x for x in inputs]\n",
    "serving/requirements.txt": f"numpy=={np.__version__}\n",
    "serving/signature.json": {
        "task": "free",
        "input": {"type": "number"},
        "output": {"type": "number"},
        "example": {"instances": [2]},
    },
}


def build(folder, name, files):
    """Build a checkpoint of these files; gives the model's folder and whether it is served with the envelope."""
    folder.mkdir()
    write_files(write_model_info(folder) / "checkpoint", files)
    job = {"PACH_JOB_ID": "b" * 32, "PPS_PIPELINE_NAME": "p", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(DEPLOY), "build", f"--deployment-name={name}", f"--input={folder}"]
    subprocess.run([*command, f"--output={folder / 'out'}"], env={**os.environ, **job}, check=True)
    document = yaml.safe_load((folder / "out" / "model-info.yaml").read_text())
    return folder / "out" / name, document["build"]["envelope"]


def test_files_own_handlers_and_requirements_are_served_side_by_side(serving, tools, tmp_path):
    models = {"grey": GREY, "own": scaler(), "double": DOUBLE}
    for name, files in models.items():
        folder, envelope = build(tmp_path / name, name, files)
        wanted = tools.manifest(folder.as_uri(), name)
        if not envelope:
            wanted["spec"]["predictor"]["model"]["env"] = [{"name": "TS_SERVICE_ENVELOPE", "value": ""}]
        tools.apply(serving.store, wanted)
    for name in models:
        tools.wait_ready(serving.store, 1, name)

    def ask(name, body, headers=None):
        path, host = f"/v1/models/{name}:predict", f"{name}.default.example.com"
        status, _, answer = tools.call(serving.ingress.port, "POST", path, body, headers, host)
        return status, answer

    encoded = {"instances": [{"b64": base64.b64encode(png(200)).decode()}]}
    body, content_type = form({"one": png(50), "two": png(60)})
    assert ask("grey", encoded) == (200, {"predictions": [200.0]})
    assert ask("grey", body, {"Content-Type": content_type}) == (200, {"predictions": [50.0, 60.0]})
    assert ask("own", {"instances": [{"x": 9}]})[1]["predictions"] == [{"label": "high", "value": 9.0, "unit": "m"}]
    assert ask("double", {"instances": [21]}) == (200, {"predictions": [42]})
