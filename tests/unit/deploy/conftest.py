"""A checkpoint as training leaves it, made from the real experiment code, the deploy container's modules, a rollout."""

import contextlib
import json
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml
from checkpoint_files import write_files, write_model_info
from fake_kserve import COMMIT, JOB, FakeCluster, write_source

ROOT = Path(__file__).resolve().parents[3]
CONTAINER = ROOT / "containers" / "deploy"
EXPERIMENT = ROOT / "experiment"
SAMPLE = json.loads((ROOT / "sample-data" / "customer_churn_sample.json").read_text())
BUILD_JOB = "fedcba9876543210fedcba9876543210"
HPARAMS = yaml.safe_load((EXPERIMENT / "const.yaml").read_text())["hyperparameters"]

# Before the imports below: neither the container's modules nor the experiment's are an installed package.
sys.path[:0] = [str(CONTAINER), str(EXPERIMENT)]
import checkpoints  # noqa: E402
import features as experiment_features  # noqa: E402
import fitting  # noqa: E402
import network as experiment_network  # noqa: E402
from deployment.build import BuildOptions, run  # noqa: E402
from deployment.rollout import Clock, Rollout, RolloutOptions  # noqa: E402
from deployment.torchserve_config import Serving  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _in_the_containers_folder():
    """A job's steps run there: what looks at the working directory must do so in the tests too."""
    with contextlib.chdir(CONTAINER):
        yield


@pytest.fixture(scope="session")
def features():
    return experiment_features


@pytest.fixture(scope="session")
def sample():
    """The ten-row request of the sample data: {column: {row: value}}, with the label."""
    return SAMPLE


@pytest.fixture(scope="session")
def feature_spec(features):
    contract = json.loads((EXPERIMENT / "contract.json").read_text())
    columns = {name: list(values.values()) for name, values in SAMPLE.items()}
    return fitting.fit(columns, contract)


@pytest.fixture(scope="session")
def network(feature_spec):
    torch.manual_seed(7)
    return experiment_network.build_model(feature_spec.n_features, HPARAMS).eval()


@pytest.fixture
def expected(features, feature_spec, network):
    """Give the probabilities of columns by the plain way: encode, forward, sigmoid."""

    def compute(columns):
        values = {name: list(v.values()) if isinstance(v, dict) else v for name, v in columns.items()}
        with torch.inference_mode():
            logits = network(torch.from_numpy(features.encode(values, feature_spec)))
        return torch.sigmoid(logits.double()).flatten().tolist()

    return compute


@pytest.fixture(scope="session")
def make_trained(feature_spec, network):
    """Give a function that writes the training pipeline's output into a folder."""

    def make(folder: Path, number: int = 3, spec=None, state=None, **changes):
        serving = folder / "checkpoint" / "serving"
        checkpoints.write(serving, spec or feature_spec, network, HPARAMS)
        if state is not None:
            torch.save(state, serving / "weights.pt")
        return write_model_info(folder, number, **changes)

    return make


@pytest.fixture(scope="session")
def build_files(tmp_path_factory):
    """Give a function that builds a checkpoint of the given files; gives (output, document, what was said)."""

    def build(files, served_name="model", **options):
        base = tmp_path_factory.mktemp("files")
        source = write_model_info(base)
        write_files(source / "checkpoint", files)
        said = []
        filled = {"host": None, "bucket": None, "credentials_file": None, "serving": Serving(), **options}
        names = {"served_name": served_name, "job": BUILD_JOB, "pipeline": "model-deploy", "project": "models"}
        document = run(BuildOptions(source=source, output=base / "out", **names, **filled), said.append)
        return base / "out", document, said

    return build


@pytest.fixture(scope="session")
def build_model(make_trained, tmp_path_factory):
    """Give a function that runs the whole build on a fresh trained model; gives (source, output, document)."""

    def build(number: int = 3, serving: Serving | None = None, **options):
        base = tmp_path_factory.mktemp("build")
        source = make_trained(base / "model", number)
        filled = {"host": None, "bucket": None, "credentials_file": None, **options}
        document = run(
            BuildOptions(
                source=source,
                output=base / "out",
                served_name="customer-churn",
                job=BUILD_JOB,
                pipeline="customer-churn-deploy",
                project="pdk-customer-churn",
                serving=serving or Serving(),
                **filled,
            ),
            lambda text: None,
        )
        return source, base / "out", document

    return build


@pytest.fixture(scope="session")
def built(build_model):
    """One build, shared by all tests that only read it."""
    return build_model()


@pytest.fixture
def cluster():
    with FakeCluster() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def config_file(cluster, tmp_path):
    path = tmp_path / "kubeconfig"
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    server = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}}
    users = [{"name": "u", "user": {}}]
    path.write_text(
        yaml.safe_dump({"current-context": "c", "contexts": [context], "clusters": [server], "users": users})
    )
    return path


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    write_source(folder)
    return folder


class Passing:
    """A clock whose sleeping takes no time."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


@pytest.fixture
def roll_out(source, config_file):
    said = []

    def run(**changes):
        clock = Passing()
        filled = {
            "source": source,
            "input_commit": COMMIT,
            "deployment_name": "customer-churn",
            "namespace": "models",
            "job": JOB,
            "config_file": str(config_file),
            "service_account": "pach-deploy",
            **changes,
        }
        return Rollout(RolloutOptions(**filled), said.append, Clock(clock.now, clock.sleep)).run()

    run.said = said
    return run
