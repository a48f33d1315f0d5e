"""A plain PyTorchTrial's checkpoint, as Determined's trainer writes it, built with a handler on the command line."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import scripting
import torch
from checkpoint_files import write_files, write_model_info
from deployment.errors import ArchiveError
from deployment.staging import Given

TRIAL = """
import os

import torch
from determined import pytorch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x)


class Trial(pytorch.PyTorchTrial):
    def __init__(self, context):
        super().__init__(context)
        if os.environ.get("SERVING_MODE") != "true":
            raise RuntimeError("there is no data here")
        self.model = context.wrap_model(Net())
        context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=0.1))

    def train_batch(self, batch, epoch_idx, batch_idx):
        raise NotImplementedError

    def evaluate_batch(self, batch):
        raise NotImplementedError

    def build_training_data_loader(self):
        raise NotImplementedError

    build_validation_data_loader = build_training_data_loader
"""
HANDLER = """
import json
from pathlib import Path

import torch
from ts.torch_handler.base_handler import BaseHandler


class LineHandler(BaseHandler):
    def initialize(self, context):
        super().initialize(context)
        root = Path(context.system_properties["model_dir"])
        self.offset = json.loads((root / "offset.json").read_text())

    def preprocess(self, data):
        return torch.tensor([row["x"] for row in data], dtype=torch.float32)

    def postprocess(self, data):
        return [round(value + self.offset, 4) for value in data.flatten().tolist()]
"""
FORCE = scripting.FORCE


@pytest.fixture
def files(tmp_path):
    """The checkpoint's files by name: code, Determined's description, weights beside numpy's random state."""
    weights = {"layer.weight": torch.tensor([[2.0, 1.0]]), "layer.bias": torch.tensor([0.5])}
    state = {"models_state_dict": [weights], "rng_state": {"trial": Path("x")}}
    torch.save(state, tmp_path / "state_dict.pth")
    load_data = {
        "trial_type": "PyTorchTrial",
        "experiment_config": {"name": "line", "searcher": {"name": "single", "metric": "loss", "max_length": 1}},
        "hparams": {"global_batch_size": 1},
        "trial_cls_spec": "model_def:Trial",
    }
    return {
        "code/model_def.py": TRIAL,
        "code/line_handler.py": HANDLER,
        "code/extra/offset.json": "10",
        "code/sample-request.json": {"instances": [{"x": [1, 1]}, {"x": [2, 0]}]},
        "load_data.json": load_data,
        "state_dict.pth": (tmp_path / "state_dict.pth").read_bytes(),
    }


@pytest.mark.seed("S2-18", "S2-34", "S2-36")
def test_the_network_is_scripted_and_served_by_the_handler(build_files, files, monkeypatch):
    monkeypatch.setenv(FORCE, "1")
    output, document, _ = build_files(files, given=Given("line_handler.py", ["extra"]))
    with zipfile.ZipFile(output / "model" / "model-store" / "model-v3.mar") as archive:
        assert {"line_handler.py", "offset.json", "scriptmodule.pt"} < set(archive.namelist())
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]
    assert (manifest["handler"], manifest["serializedFile"]) == ("line_handler.py", "scriptmodule.pt")
    assert json.loads((output / "probe.json").read_text())["answer"] == {"predictions": [13.5, 14.5]}
    assert document["build"]["envelope"] is True


def test_torch_refuses_pickles_unless_the_environment_allows_them(build_files, files, monkeypatch):
    monkeypatch.delenv(FORCE, raising=False)
    with pytest.raises(ArchiveError, match="set TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 in the environment of this pip"):
        build_files(files, given=Given("line_handler.py", ["extra"]))


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("self.model = context", "self.net = context", None),
        ("self.model = context.wrap_model(Net())", "self.models = [Net(), Net()]; return", "but 0 others"),
        ("import os\n", "import os\nimport absent_module\n", "No module named 'absent_module'"),
        ("return self.layer(x)", "return open(x)", "cannot be made TorchScript"),
    ],
)
def test_a_trial_whose_network_cannot_be_taken_says_why(build_files, files, monkeypatch, old, new, text):
    monkeypatch.setenv(FORCE, "1")
    trial = TRIAL.replace(old, new).replace("self.model.parameters", "context.models[0].parameters")
    changed = {**files, "code/model_def.py": trial}
    if text is None:
        build_files(changed, given=Given("line_handler.py", ["extra"]))
        return
    with pytest.raises(ArchiveError, match=text):
        build_files(changed, given=Given("line_handler.py", ["extra"]))


def test_the_command_line_takes_both_options(tmp_path, files):
    source = write_model_info(tmp_path)
    write_files(source / "checkpoint", files)
    command = [sys.executable, str(Path(scripting.__file__).with_name("deploy.py")), "build"]
    options = ["--handler=line_handler.py", "--extra-files=extra", f"--input={source}", f"--output={tmp_path / 'out'}"]
    job = {"PACH_JOB_ID": "b" * 32, "PPS_PIPELINE_NAME": "p", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    name = "--deployment-name=line"
    result = subprocess.run(
        [*command, name, *options], env={**job, FORCE: "1"}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "line" / "model-store" / "line-v3.mar").is_file()
    result = subprocess.run([*command, name, *options[1:3]], env=job, capture_output=True, text=True, check=False)
    assert "--extra-files go with --handler" in result.stderr.splitlines()[-1]
