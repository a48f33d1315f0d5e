"""Each template through the whole loop: two versions from two commits, the second going on from the first."""

import http.client
import io
import json

import numpy as np
import pytest
import template_project
from PIL import Image
from sklearn.datasets import load_digits, load_iris

DIGITS = load_digits()
IRIS = load_iris(as_frame=True)

pytestmark = pytest.mark.slow


def ask(stack, name, body, content_type="application/json"):
    """Predict; return (status, model version, answer)."""
    connection = http.client.HTTPConnection("127.0.0.1", int(stack.environment["PDK_INGRESS_PORT"]), timeout=60)
    path = f"/serving/models/{name}/v1/models/{name}:predict"
    connection.request("POST", path, body, {"Content-Type": content_type})
    response = connection.getresponse()
    answer = response.status, response.getheader("x-pdk-model-version"), json.loads(response.read())
    connection.close()
    return answer


def commit(stack, name, *words):
    """Put files, and wait until what came of them serves; return the log of the training job."""
    stack.pdk("put", "file", *words, "--project", name)
    waited = stack.pdk("wait", "commit", f"{name}-rollout@master", "--project", name, check=False)
    log = stack.pdk("logs", "-p", f"{name}-train", "--project", name).stdout
    assert waited.returncode == 0, log + stack.pdk("status").stdout
    return log


def write_digits(folder, numbers):
    for number in numbers:
        path = folder / str(DIGITS.target[number]) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((DIGITS.images[number] * 255 / 16).astype(np.uint8)).save(path)
    return folder


def form_of(*files):
    parts = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="f%d"; filename="x.png"\r\n\r\n%b\r\n' % (place, content)
        for place, content in enumerate(files)
    )
    return parts + b"--b--\r\n", "multipart/form-data; boundary=b"


def png(number):
    file = io.BytesIO()
    Image.fromarray((DIGITS.images[number] * 255 / 16).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_core_api(module_stack, tmp_path):
    folder = template_project.make("core-api", "flowers", tmp_path / "flowers")
    module_stack.pdk("apply", str(folder))
    table = IRIS.data.assign(kind=IRIS.target_names[IRIS.target])
    for version, rows in enumerate((table[:100:2], table[1::2]), 1):
        rows.to_csv(tmp_path / f"part{version}.csv", index=False)
        log = commit(
            module_stack, "flowers", f"flowers-data@master:p{version}.csv", "-f", f"{tmp_path}/part{version}.csv"
        )
        assert "'accuracy': " in log
    assert "going on from version 1" in log
    # The third kind was in the second commit only.
    rows = [IRIS.data.iloc[place].to_dict() for place in (0, 60, 110)]
    status, served, answer = ask(module_stack, "flowers", json.dumps({"instances": rows}))
    assert (status, served, answer) == (200, "2", {"predictions": ["setosa", "versicolor", "virginica"]})
    status, _, answer = ask(module_stack, "flowers", json.dumps({"instances": [{**rows[0], "petal width (cm)": None}]}))
    assert status == 400
    assert "row 0, column 'petal width (cm)': a finite number is needed" in answer["error"]


def test_image(module_stack, tmp_path):
    folder = template_project.make("image", "digits", tmp_path / "digits")
    const = folder / "const.yaml"
    const.write_text(const.read_text().replace("image_size: 32", "image_size: 16"))
    module_stack.pdk("apply", str(folder))
    for version, numbers in enumerate((range(300), range(300, 500)), 1):
        files = write_digits(tmp_path / f"images{version}", numbers)
        log = commit(module_stack, "digits", "-r", "digits-data@master:/", "-f", str(files))
    assert "going on from version 1" in log
    sample = (folder / "sample-request.json").read_text()
    status, served, answer = ask(module_stack, "digits", sample)
    assert (status, served) == (200, "2"), answer
    assert len(answer["predictions"]) == 1
    unseen = range(1000, 1100)
    status, _, answer = ask(module_stack, "digits", *form_of(*map(png, unseen)))
    labels = [label for label, _ in answer["predictions"]]
    right = [label for label, number in zip(labels, unseen, strict=True) if label == str(DIGITS.target[number])]
    assert len(right) >= 85
    status, _, answer = ask(module_stack, "digits", *form_of(png(0), b"no image"))
    assert (status, "row 1: 8 bytes that begin with b'no image' are no image" in answer["error"]) == (400, True)
    status, _, answer = ask(module_stack, "digits", '{"instances": ["x"]}')
    assert status == 400

    # A class that the version before does not know.
    (tmp_path / "more" / "ten").mkdir(parents=True)
    (tmp_path / "more" / "ten" / "1.png").write_bytes(png(1))
    module_stack.pdk("put", "file", "-r", "digits-data@master:/", "-f", f"{tmp_path}/more", "--project", "digits")
    module_stack.pdk("wait", "commit", "digits-rollout@master", "--project", "digits", check=False)
    assert "does not know ten: set train.incremental: false" in module_stack.pdk("status").stdout
    assert ask(module_stack, "digits", sample)[1] == "2"


def test_sklearn(module_stack, tmp_path):
    folder = template_project.make("sklearn", "boxes", tmp_path / "boxes")
    module_stack.pdk("apply", str(folder))
    for version in (1, 2):
        log = put_boxes(module_stack, tmp_path, version)
        assert "the data keeps its contract: 200 rows" in log
    assert "going on from version 1" in log
    status, served, answer = ask(module_stack, "boxes", (folder / "sample-request.json").read_text())
    assert (status, served) == (200, "2")
    ((label, probability),) = answer["predictions"]
    assert (label, probability > 0.9) == (1, True)

    # A forest does not go on from what was there before.
    (folder / "estimator.py").write_text(
        "from sklearn.ensemble import RandomForestClassifier\n\n"
        "def make_estimator(task):\n    return RandomForestClassifier(random_state=0)\n"
    )
    module_stack.pdk("apply", str(folder))
    put_boxes(module_stack, tmp_path, 3)
    experiment = max(module_stack.systems().determined.list_experiments(), key=lambda each: each.id)
    log = "".join(experiment.list_trials()[0].iter_logs())
    assert "RandomForestClassifier cannot go on from the MLPClassifier of before: training afresh on all data" in log
    assert "3.csv" in log.partition("downloaded what changed since the beginning")[2]
    assert ask(module_stack, "boxes", (folder / "sample-request.json").read_text())[1] == "3"


def put_boxes(stack, folder, version):
    random = np.random.default_rng(version)
    rows = [(*random.normal(size=2), random.choice(["red", "blue"])) for _ in range(200)]
    lines = [f"{length},{width},{colour},{int(2 * length > width)}" for length, width, colour in rows]
    (folder / "part.csv").write_text("\n".join(["length,width,colour,label", *lines]) + "\n")
    return commit(stack, "boxes", f"boxes-data@master:{version}.csv", "-f", f"{folder}/part.csv")
