"""KServe's V1 protocol around a model server."""

from ingress_bench import HOST, PREDICT, native_error

from pdk.kserve.predictor.routes import Backend, ServiceRoute


def test_predict_is_forwarded_and_signed(ask, model):
    status, headers, value = ask(
        "POST", PREDICT, '{"instances": [1]}', Content_Type="application/x-www-form-urlencoded"
    )
    assert (status, value) == (200, {"predictions": [1]})
    assert headers["content-type"] == "application/json"
    assert headers["x-pdk-revision"] == "churn-predictor-00001"
    assert headers["x-pdk-model-version"] == "7"
    assert len(headers["x-request-id"]) == 36
    line, sent, body = model.seen[0]
    assert line == f"POST {PREDICT} HTTP/1.1"
    assert sent["content-type"] == "application/json"
    assert body == b'{"instances": [1]}'


def test_an_annotation_cannot_add_a_header(ask, routes, model):
    value = "1\r\nset-cookie: evil=1\n\x00 \x7f\u20ac\u00e9"
    backend = Backend("churn-predictor-00001", model.port, ("churn",), (("x-pdk-model-version", value),))
    routes.set(ServiceRoute("default", "churn", (HOST,), ((backend, 100),)))
    for method, path in (("POST", PREDICT), ("GET", "/v1/models")):
        _, headers, _ = ask(method, path, "{}")
        assert headers["x-pdk-model-version"] == "1set-cookie: evil=1 \u00e9"
        assert "set-cookie" not in headers


def test_the_share_of_a_stable_revision_that_is_down_is_503(ask, routes, model, monkeypatch):
    canary = Backend("churn-predictor-00002", model.port, ("churn",))
    routes.set(
        ServiceRoute("default", "churn", (HOST,), ((canary, 20),), reason="revision churn-predictor-00001 failed")
    )
    monkeypatch.setattr(routes, "_choose", lambda: 0.2)
    status, headers, value = ask("POST", PREDICT, '{"instances": []}')
    assert (status, headers["retry-after"]) == (503, "2")
    assert "revision churn-predictor-00001 failed" in value["error"]
    assert "x-pdk-revision" not in headers
    monkeypatch.setattr(routes, "_choose", lambda: 0.19)
    assert ask("POST", PREDICT, '{"instances": []}')[1]["x-pdk-revision"] == "churn-predictor-00002"


def test_the_clients_request_id_comes_back(ask):
    assert ask("GET", "/", x_request_id="mine-1")[1]["x-request-id"] == "mine-1"
    assert ask("GET", "/", x_request_id="a b")[1]["x-request-id"] != "a b"


def test_readiness_and_metadata(ask, model):
    assert ask("GET", "/")[2] == {"status": "alive"}
    assert ask("GET", "/v1/models")[2] == {"models": ["churn"]}
    status, headers, value = ask("GET", "/v1/models/churn")
    assert (status, value) == (200, {"name": "churn", "ready": True})
    assert headers["x-pdk-revision"] == "churn-predictor-00001"
    assert model.seen == []


def test_the_path_finds_a_service_too(ask, model):
    status, _, value = ask("POST", f"/serving/default/churn{PREDICT}", '{"instances": [1]}', host="127.0.0.1")
    assert (status, value) == (200, {"predictions": [1]})
    assert ask("GET", "/serving/default/churn", host="x")[2] == {"status": "alive"}
    status, _, value = ask("GET", "/serving/default/other/v1/models", host="x")
    assert status == 404
    assert "path /serving/default/other" in value["error"]


def test_explain_and_native_paths_pass(ask, model):
    assert ask("POST", "/v1/models/churn:explain", "{}")[0] == 200
    model.answer = native_error(404, "Model version not found", "ModelVersionNotFoundException")
    status, _, value = ask("POST", "/predictions/churn/9?x=1", "data", Content_Type="text/plain")
    assert (status, value) == (
        404,
        b'{"code": 404, "type": "ModelVersionNotFoundException", "message": "Model version not found"}',
    )
    line, sent, _ = model.seen[-1]
    assert line == "POST /predictions/churn/9?x=1 HTTP/1.1"
    assert sent["content-type"] == "text/plain"


def test_unknown_hosts_models_and_paths(ask, model):
    status, headers, value = ask("GET", "/v1/models", host="nobody.example.com")
    assert (status, value) == (
        404,
        {"error": f"no InferenceService answers for host 'nobody.example.com'; known hosts: {HOST}"},
    )
    assert "x-pdk-revision" not in headers
    assert ask("POST", "/v1/models/other:predict", "{}")[::2] == (
        404,
        {"error": "Model with name other does not exist."},
    )
    assert ask("GET", "/v1/models/other")[0] == 404
    assert ask("GET", "/metrics")[0] == 404
    assert ask("GET", "/models")[0] == 404
    assert ask("GET", "/v1/models/churn:predict:x")[0] == 404
    assert model.seen == []


def test_methods(ask):
    status, headers, _ = ask("GET", PREDICT)
    assert (status, headers["allow"]) == (405, "POST")
    status, headers, _ = ask("POST", "/v1/models", "{}")
    assert (status, headers["allow"]) == (405, "GET")


def test_v2_says_that_it_is_not_there(ask):
    status, _, value = ask("POST", "/v2/models/churn/infer", "{}")
    assert status == 501
    assert "V2" in value["error"]


def test_health_of_the_ingress_itself(ask):
    assert ask("GET", "/healthz", host="127.0.0.1")[::2] == (200, b"ok")


def test_head_has_no_body(ask):
    status, headers, value = ask("HEAD", "/v1/models")
    assert (status, value) == (200, b"")
    assert int(headers["content-length"]) > 0
