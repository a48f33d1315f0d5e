"""Models that nobody here prepared for, in a real TorchServe: served as the build says they are to be served."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from deployment.torchserve_config import Serving
from serving_models import GREY, WORDS, form, iris, png, post, scaler, served

ROWS = [{"petal": 1.4, "sepal": 5.1}, {"petal": 5.6, "sepal": 6.3}]
LIMIT = 200_000


@pytest.fixture(scope="module")
def flowers():
    return iris()


@pytest.fixture(scope="module")
def enveloped(build_files, flowers):
    output, document, _ = build_files(flowers[0], "iris", serving=Serving(max_response_bytes=LIMIT))
    assert document["build"]["envelope"] is True
    with served(output, document) as server:
        yield server


@pytest.fixture(scope="module")
def batching(build_files, flowers):
    settings = Serving(batch_size=4, max_batch_delay=200, max_response_bytes=LIMIT)
    output, document, _ = build_files(flowers[0], "iris", serving=settings)
    assert document["build"]["envelope"] is False
    with served(output, document) as server:
        yield server


@pytest.fixture(params=["enveloped", "batching"])
def server(request):
    return request.getfixturevalue(request.param)


def instances(*rows, **parameters):
    return {"instances": [{**row, "parameters": parameters} for row in rows]}


def test_a_scikit_learn_model_answers_rows_and_columns(server, flowers):
    numbers = flowers[1].predict_proba([[1.4, 5.1], [5.6, 6.3]]).tolist()
    status, answer = post(server, instances(*ROWS, probabilities=True))
    assert status == 200
    assert [label for label, _ in answer["predictions"]] == ["setosa", "virginica"]
    for (_, given), wanted in zip(answer["predictions"], numbers, strict=True):
        assert given == pytest.approx(wanted)
    columns = {"instances": [{"data": {"sepal": {"b": 6.3, "a": 5.1}, "petal": {"a": 1.4, "b": 5.6}}}]}
    assert post(server, columns) == (200, {"predictions": [["setosa"], ["virginica"]]})


def test_requests_of_a_batch_fail_one_by_one(batching):
    bodies = [
        {"instances": [ROWS[0]]},
        {"instances": [{"petal": "x", "sepal": 1}]},
        {"instances": [{**ROWS[0], "petal": -1}]},
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda body: post(batching, body), [*bodies, {"instances": [ROWS[1]]}]))
    assert [status for status, _ in answers] == [200, 400, 500, 200]
    assert (answers[0][1], answers[3][1]) == ({"predictions": [["setosa"]]}, {"predictions": [["virginica"]]})


FAULTS = {
    "RowError": ([ROWS[0], {"petal": "x", "sepal": 1}], 400, "row 1, column 'petal': expected a number, got 'x'"),
    "ValueError of preprocess": ([{"petal": 0, "sepal": 1}], 400, "a petal has a length"),
    "KeyError of preprocess": ([{"petal": 1}], 500, "preprocess raised KeyError: 'sepal' (request "),
    "own mistake": ([{"petal": "nan", "sepal": 1}], 500, "preprocess raised RuntimeError: the model's own mistake (re"),
    "ValueError of predict": ([{"petal": -1, "sepal": 1}], 500, "predict raised ValueError: no such flower (request "),
    "NaN": ([{**ROWS[0], "parameters": {"broken": True}}], 500, "row 0: the model gave no finite number"),
    "NaN in row 1": ([ROWS[0], {**ROWS[0], "parameters": {"broken": True}}], 500, "row 1: the model gave no finite"),
    "too long": ([{**ROWS[0], "parameters": {"long": True}}] * 4, 500, "the limit of this server is 200000"),
    "no rows": ([], 400, '"instances" is empty'),
    "a text": ("abc", 400, '"instances" must be a list, not a string'),
    "an object": ({"a": 1}, 400, '"instances" must be a list, not an object'),
}


@pytest.mark.parametrize(("rows", "status", "text"), FAULTS.values(), ids=FAULTS)
def test_each_fault_says_whose_it_is(server, rows, status, text):
    found, answer = post(server, {"instances": rows})
    assert (found, text in json.dumps(answer, ensure_ascii=False).replace('\\"', '"')) == (status, True), answer
    assert post(server, {"instances": ROWS})[0] == 200  # the worker lives


def test_an_answer_that_only_the_envelopes_indents_make_too_long_is_refused(enveloped, batching):
    """20000 values of 5 bytes, which with a line and an indent for each are 13."""
    assert post(batching, instances(*ROWS[:1], long=True))[0] == 200
    status, answer = post(enveloped, instances(*ROWS[:1], long=True))
    assert (status, "the limit of this server is 200000" in str(answer)) == (500, True)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_numbers_that_json_has_not_are_the_clients_fault(server, number):
    body = f'{{"instances": [{{"petal": 1.4, "sepal": 5.1}}, {{"petal": 5, "sepal": {number}}}]}}'.encode()
    status, answer = post(server, body)
    assert (status, "row 1, column 'sepal': NaN, infinity and numbers beyond" in str(answer)) == (400, True), answer


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'\xef\xbb\xbf{"instances": [1]}', "byte order mark"),
        ('{"instances": [1]}'.encode("utf-16"), "not UTF-8 text"),
        (b'{"instances": [', "not JSON"),
        (b"", "not JSON"),
        (b"[1]", "must be a JSON object"),
    ],
)
def test_a_body_that_is_no_json_is_named(batching, body, text):
    status, answer = post(batching, body)
    assert (status, text in answer["error"]) == (400, True), answer


@pytest.fixture(scope="module")
def pictures(build_files):
    output, document, _ = build_files(GREY, "grey")
    assert document["build"]["envelope"] is False
    with served(output, document) as server:
        yield server


def test_pictures_come_as_base64_in_json_as_a_form_and_as_the_body(pictures):
    encoded = [{"b64": base64.b64encode(png(level)).decode()} for level in (0, 200)]
    assert post(pictures, {"instances": encoded}) == (200, {"predictions": [0.0, 200.0]})
    assert post(pictures, *form({"one": png(50), "two": png(60)})) == (200, {"predictions": [50.0, 60.0]})
    assert post(pictures, png(7), "image/png") == (200, {"predictions": [7.0]})


def test_what_is_no_picture_is_the_clients_fault(pictures):
    assert post(pictures, {"instances": [{"b64": "eA=="}]}) == (400, {"error": "this is no image"})
    status, answer = post(pictures, {"instances": [{"b64": "%"}]})
    assert (status, "instances[0] is not base64" in answer["error"]) == (400, True)
    assert post(pictures, *form({"one": b"text"})) == (400, {"error": "this is no image"})


def test_a_model_of_whole_bodies_answers_them(build_files):
    output, document, _ = build_files(WORDS, "words")
    assert document["build"]["envelope"] is False
    report = json.loads((output / "probe.json").read_text())
    assert report["answer"] == {"words": ["one", "two"], "language": "en"}
    with served(output, document) as server:
        assert post(server, {"text": "a b", "language": "de"}) == (200, {"words": ["a", "b"], "language": "de"})
        status, answer = post(server, {"text": "list"})
        assert (status, "not with an object (its signature says whole)" in answer["error"]) == (500, True)
        assert post(server, [1]) == (400, {"error": "the body must be a JSON object, not a list"})


def test_a_base_handler_with_torchscript_serves_flat_files(build_files):
    output, document, _ = build_files(scaler(), "own")
    low, high = {"label": "low", "value": 0.0, "unit": "m"}, {"label": "high", "value": 9.0, "unit": "m"}
    assert json.loads((output / "probe.json").read_text())["answer"] == {"predictions": [low, high]}
    with served(output, document) as server:
        assert post(server, {"instances": [{"x": 9}]}) == (200, {"predictions": [high]})
