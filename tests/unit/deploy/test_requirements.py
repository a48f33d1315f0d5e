"""A model that needs more than the serving image has: installed for the build's gate, and by TorchServe itself."""

import io
import json
import zipfile

import numpy as np
import pytest
from deployment.errors import ArchiveError
from serving_models import post, served

MODEL = "import tiny\n\nclass Model:\n    def predict(self, inputs):\n        return [tiny.double(x) for x in inputs]\n"
PLAIN = MODEL.replace("import tiny", "import numpy").replace("tiny.double(x)", "numpy.float64(2 * x)")
SIGNATURE = {
    "task": "free",
    "input": {"type": "number"},
    "output": {"type": "number"},
    "example": {"instances": [2, 3]},
}
WHEEL = "tiny_numbers-1.0-py3-none-any.whl"


def wheel():
    """A package that no index has, as pip takes it from a file."""
    stream = io.BytesIO()
    info = "tiny_numbers-1.0.dist-info"
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("tiny.py", "def double(x):\n    return 2 * x\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-numbers\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return stream.getvalue()


def files(model, requirements, **more):
    named = {"model.py": model, "signature.json": SIGNATURE, "requirements.txt": requirements, **more}
    return {f"serving/{name}": content for name, content in named.items()}


def test_the_gate_has_the_models_requirements_and_the_job_does_not(build_files):
    output, document, _ = build_files(files(MODEL, f"./{WHEEL}\nnumpy\n", **{WHEEL: wheel()}))
    assert json.loads((output / "probe.json").read_text())["predictions"][:-1] == [4, 6]
    assert document["build"]["requirements"] is True
    with pytest.raises(ImportError):
        import tiny  # noqa: F401, PLC0415
    with pytest.raises(ArchiveError, match="No module named 'tiny'"):
        build_files({name: text for name, text in files(MODEL, "").items() if "requirements" not in name})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("./absent-1.0-py3-none-any.whl", "absent-1.0"),
        ("numpy==1.26.4\nnumpy<1", "onflict"),
        ("no such thing", "Invalid requirement"),
    ],
)
def test_requirements_that_cannot_be_installed_are_named(build_files, text, reason):
    with pytest.raises(ArchiveError, match=r"requirements\.txt of the model cannot be installed") as error:
        build_files(files(PLAIN, text))
    assert reason in str(error.value)


@pytest.mark.slow  # TorchServe makes an environment with pip in it
def test_torchserve_is_told_to_install_them_into_an_environment_of_the_models_own(build_files):
    output, document, _ = build_files(files(PLAIN, f"numpy=={np.__version__}\n"), "numbers")
    with zipfile.ZipFile(output / "numbers" / "model-store" / "numbers-v3.mar") as archive:
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]
        assert archive.read(manifest["configFile"]) == b"useVenv: true\n"
    assert manifest["requirementsFile"] == "requirements.txt"
    text = (output / "numbers" / "config" / "config.properties").read_text()
    assert "install_py_dep_per_model=true" in text.splitlines()
    with served(output, document) as server:
        assert post(server, {"instances": [5]}) == (200, {"predictions": [10.0]})
