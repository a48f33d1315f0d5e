"""The built archive in a real TorchServe: as KServe runs it (kserve envelope), and without envelope, in batches."""

import importlib.util
import json
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from deployment.torchserve_config import Serving

ROOT = Path(__file__).resolve().parents[3]


def _torchserve():
    spec = importlib.util.spec_from_file_location("bench_torchserve", ROOT / "bench" / "serving" / "torchserve.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _serve(output, environment):
    model = output / "customer-churn"
    config = model / "config" / "config.properties"
    return _torchserve().serving("customer-churn", config, model / "model-store", environment)


@pytest.fixture(scope="module")
def enveloped(built):
    _, output, _ = built
    with _serve(output, {"TS_SERVICE_ENVELOPE": "kserve"}) as server:
        yield server


@pytest.fixture(scope="module")
def batching(build_model):
    _, output, _ = build_model(serving=Serving(batch_size=4, max_batch_delay=300))
    # What rollout sets on the InferenceService when batch_size is above 1.
    with _serve(output, {"TS_SERVICE_ENVELOPE": ""}) as server:
        yield server


def post(server, body, verb="predict", content_type="application/json"):
    """Send one V1 request; gives (status, parsed body)."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"http://{server.address}/v1/models/customer-churn:{verb}"
    request = urllib.request.Request(url, data=data, headers={"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def classes(probabilities):
    return [[int(probability >= 0.5)] for probability in probabilities]


def test_kserve_envelope_answers_the_ten_rows(enveloped, sample, expected):
    status, answer = post(enveloped, {"instances": [{"data": sample}]})
    assert status == 200
    assert answer == {"predictions": classes(expected(sample))}


def test_kserve_envelope_probabilities_and_model_info(enveloped, sample, expected):
    parts = [{"data": sample, "parameters": {"probabilities": True}}, {"parameters": {"model_info": True}}]
    status, answer = post(enveloped, {"instances": parts})
    *rows, info = answer["predictions"]
    assert status == 200
    assert [row[1] for row in rows] == pytest.approx(expected(sample), abs=1e-6)
    assert (info["model_version"], info["data_commit"]) == (3, "0123456789abcdef0123456789abcdef")


def test_kserve_envelope_refusal_names_row_and_column(enveloped, sample):
    rows = [{name: values["0"] for name, values in sample.items()} for _ in range(3)]
    rows[2]["area"] = "ATLANTIS"
    status, answer = post(enveloped, {"instances": rows})
    assert status == 400
    assert "row 2, column 'area': unknown category 'ATLANTIS'" in answer["message"]


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream", "text/plain"])
def test_without_envelope_any_content_type(batching, sample, expected, content_type):
    status, answer = post(batching, {"instances": [{"data": sample}]}, content_type=content_type)
    assert (status, answer) == (200, {"predictions": classes(expected(sample))})


def test_a_bad_request_does_not_fail_its_batch(batching, sample, expected):
    """Eight requests at once fill two batches of four; each is answered by itself."""
    row = {name: values["1"] for name, values in sample.items()}
    numbers = expected({name: [value] for name, value in row.items()})
    good = {"instances": [row], "parameters": {"probabilities": True}}
    bad = {"instances": [{**row, "rev_Mean": "much"}]}
    bodies = [bad, good, b"{", good, good, bad, good, {"instances": []}]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: post(batching, body), bodies))
    assert [status for status, _ in answers] == [400, 200, 400, 200, 200, 400, 200, 400]
    for status, answer in answers:
        if status == 200:
            assert answer["predictions"][0][1] == pytest.approx(numbers[0], abs=1e-6)
    assert "row 0, column 'rev_Mean': expected a number, got 'much'" in answers[0][1]["error"]
    assert "not JSON" in answers[2][1]["error"]
    assert '"instances" is empty' in answers[7][1]["error"]


def test_explain_is_refused_as_not_implemented(batching, enveloped, sample):
    body = {"instances": [{"data": sample}]}
    assert post(batching, body, "explain") == (501, {"error": "this model offers no explanations: use :predict"})
    assert post(enveloped, body, "explain")[0] == 501


def test_large_request_is_answered_and_the_limit_is_named(batching, sample):
    columns = {name: [values["0"]] * 10_000 for name, values in sample.items()}
    status, answer = post(batching, {"instances": [{"data": columns}]})
    assert (status, len(answer["predictions"])) == (200, 10_000)
    columns = {name: [*values, values[0]] for name, values in columns.items()}
    status, answer = post(batching, {"instances": [{"data": columns}]})
    assert (status, "at most 10000" in answer["error"]) == (400, True)
