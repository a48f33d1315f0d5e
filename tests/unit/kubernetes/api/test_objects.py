"""The verbs on objects, in what the official clients do not show."""

import pytest

MODELS = "/api/v1/namespaces/models"
ISVCS = "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices"


def isvc(name="churn"):
    model = {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://x/"}
    return {"metadata": {"name": name}, "spec": {"predictor": {"model": model}}}


def test_create_and_get_in_three_forms(api):
    code, created = api.call("POST", ISVCS, isvc())
    assert (code, created["metadata"]["namespace"]) == (201, "models")
    assert created["metadata"]["managedFields"][0]["manager"] == "tester"
    assert api.call("GET", f"{ISVCS}/churn") == (200, created)
    table = api.call("GET", f"{ISVCS}/churn", accept="application/json;as=Table;v=v1;g=meta.k8s.io")[1]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    only = api.call("GET", ISVCS, accept="application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")[1]
    assert only["kind"] == "PartialObjectMetadataList"
    assert only["items"][0].keys() == {"kind", "apiVersion", "metadata"}
    assert api.call("GET", "/apis/serving.kserve.io/v1beta1/inferenceservices")[1]["items"] == [created]


@pytest.mark.parametrize(
    ("body", "expected", "text"),
    [
        ({"kind": "Secret"} | isvc(), 400, "does not match the expected API version"),
        ({"apiVersion": "serving.kserve.io/v1"} | isvc(), 400, "does not match the expected API version"),
        (
            isvc() | {"metadata": {"name": "a", "namespace": "default"}},
            400,
            "the namespace of the provided object does not",
        ),
        (b"[]", 400, "must be a JSON object"),
        (b"", 400, "empty"),
        (isvc() | {"metadata": "text"}, 403, ""),
    ],
)
def test_bodies_that_do_not_belong_to_the_url(api, body, expected, text):
    code, status = api.call("POST", ISVCS, body)
    assert code == expected, status
    assert text in status["message"]


def test_put_needs_the_name_of_the_url_and_a_version(api):
    api.call("POST", ISVCS, isvc())
    assert "does not match the name on the URL" in api.call("PUT", f"{ISVCS}/churn", isvc("other"))[1]["message"]
    code, status = api.call("PUT", f"{ISVCS}/churn", isvc())
    assert (code, status["reason"]) == (422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "metadata.resourceVersion"
    assert api.call("PUT", f"{ISVCS}/none", isvc("none"))[0] == 404


def test_status_is_a_world_of_its_own(api):
    _, created = api.call("POST", ISVCS, isvc() | {"status": {"url": "x"}})
    assert "status" not in created
    forged = created | {"spec": {}, "status": {"url": "y"}}
    code, changed = api.call("PUT", f"{ISVCS}/churn/status", forged)
    assert (code, changed["spec"], changed["status"]) == (200, created["spec"], {"url": "y"})
    assert api.call("GET", f"{ISVCS}/churn/status")[1] == changed
    assert api.call("PUT", f"{ISVCS}/churn/status", changed | {"status": "text"})[0] == 400
    assert api.call("PATCH", f"{MODELS}/secrets/x/status", {})[0] == 404


def test_dry_runs(api):
    assert api.call("POST", ISVCS, isvc(), dryRun="All")[0] == 201
    assert api.call("GET", f"{ISVCS}/churn")[0] == 404
    code, status = api.call("POST", ISVCS, isvc(), dryRun="Some")
    assert (code, status["details"]["causes"][0]["field"]) == (422, "dryRun")
    api.call("POST", ISVCS, isvc())
    assert api.call("DELETE", f"{ISVCS}/churn", {"dryRun": ["All"]})[0] == 200
    assert api.call("DELETE", f"{ISVCS}/churn", {"dryRun": 7})[0] == 400
    assert api.call("GET", f"{ISVCS}/churn")[0] == 200


def test_delete_options(api):
    _, created = api.call("POST", ISVCS, isvc())
    wrong = {"preconditions": {"uid": "other"}}
    assert api.call("DELETE", f"{ISVCS}/churn", wrong)[0] == 409
    assert api.call("DELETE", f"{ISVCS}/churn", {"preconditions": "x"})[0] == 400
    assert api.call("DELETE", f"{ISVCS}/churn", {"propagationPolicy": "Sideways"})[1]["message"] == (
        'invalid propagationPolicy "Sideways": must be one of Background, Foreground, Orphan'
    )
    code, status = api.call("DELETE", f"{ISVCS}/churn", propagationPolicy="Foreground")
    assert (code, status["status"]) == (200, "Success")
    assert status["details"] == {
        "name": "churn",
        "group": "serving.kserve.io",
        "kind": "inferenceservices",
        "uid": created["metadata"]["uid"],
    }


def test_delete_collection_takes_only_what_is_selected(api):
    for name in ("a", "b"):
        api.call("POST", f"{MODELS}/configmaps", {"metadata": {"name": name, "labels": {"n": name}}})
    code, deleted = api.call("DELETE", f"{MODELS}/configmaps", labelSelector="n=a")
    assert (code, [item["metadata"]["name"] for item in deleted["items"]]) == (200, ["a"])
    assert [item["metadata"]["name"] for item in api.call("GET", f"{MODELS}/configmaps")[1]["items"]] == ["b"]


def test_patch_types(api):
    api.call("POST", ISVCS, isvc())
    for content_type, patch, code in (
        ("application/merge-patch+json", {"spec": {"predictor": {"minReplicas": 2}}}, 200),
        ("application/merge-patch+json", [], 400),
        ("application/merge-patch+json", {"metadata": {"name": "other"}}, 422),
        ("application/merge-patch+json", {"metadata": {"resourceVersion": "1"}}, 409),
        ("application/merge-patch+json", {"metadata": None}, 400),
        ("application/json-patch+json", [{"op": "replace", "path": "", "value": 5}], 400),
        ("application/json-patch+json", [{"op": "add", "path": "/spec/x", "value": 1}], 200),
        ("application/strategic-merge-patch+json", {}, 415),
        ("application/json", {}, 415),
        ("text/plain", {}, 415),
    ):
        assert api.call("PATCH", f"{ISVCS}/churn", patch, content_type)[0] == code, (content_type, patch)
    assert "x" not in api.call("GET", f"{ISVCS}/churn")[1]["spec"]


def test_a_patch_cannot_nest_deeper_than_a_body(api):
    api.call("POST", f"{MODELS}/configmaps", {"metadata": {"name": "c"}})
    operations = [{"op": "add", "path": "/x" * depth, "value": {}} for depth in range(1, 80)]
    code, status = api.call("PATCH", f"{MODELS}/configmaps/c", operations, "application/json-patch+json")
    assert (code, "levels deep" in status["message"]) == (400, True)


def test_apply_takes_yaml_and_creates(api):
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n"
    url, content_type = f"{MODELS}/configmaps/c", "application/apply-patch+yaml"
    assert api.call("PATCH", url, text, content_type)[0] == 422
    code, created = api.call("PATCH", url, text, content_type, fieldManager="me")
    assert (code, created["data"]) == (201, {"a": "b"})
    code, status = api.call("PATCH", url, text.replace(b"a: b", b"a: c"), content_type, fieldManager="you")
    assert (code, status["reason"]) == (409, "Conflict")
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "me"', "field": ".data.a"}
    ]
    code, changed = api.call(
        "PATCH", url, text.replace(b"a: b", b"a: c"), content_type, fieldManager="you", force="true"
    )
    assert (code, changed["data"]) == (200, {"a": "c"})
    assert api.call("PATCH", f"{MODELS}/pods/p", text, content_type, fieldManager="me")[0] == 400
    pod = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}}'
    assert api.call("PATCH", f"{MODELS}/pods/p", pod, content_type, fieldManager="me")[0] == 405
    assert api.call("PATCH", f"{ISVCS}/none/status", {}, content_type, fieldManager="me")[0] == 501


def test_the_newer_events_api_is_a_view(api, store):
    event = {"metadata": {"name": "e", "namespace": "models"}, "message": "m", "involvedObject": {"name": "churn"}}
    store.create("events", event | {"source": {"component": "c"}, "count": 2})
    path = "/apis/events.k8s.io/v1/namespaces/models/events"
    shown = api.call("GET", f"{path}/e")[1]
    assert (shown["apiVersion"], shown["note"], shown["regarding"]) == ("events.k8s.io/v1", "m", {"name": "churn"})
    assert (shown["reportingController"], shown["deprecatedCount"]) == ("c", 2)
    assert api.call("GET", path)[1]["items"] == [shown]
    assert api.call("POST", path, event)[0] == 405
