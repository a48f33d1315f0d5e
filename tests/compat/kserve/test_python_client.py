"""The kubernetes Python client against a real socket: CRUD, patches, watches, logs, errors."""

import base64
import threading
import urllib.request

import pytest
from client_certificates import client_certificate
from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from targets import NAMESPACE

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
ISVC = f"{PLURAL}.{GROUP}"
KIND = (GROUP, VERSION, NAMESPACE, PLURAL)


@pytest.fixture
def api_client(cluster):
    api = config.new_client_from_config(str(cluster.kubeconfig))
    yield api
    api.close()


@pytest.fixture
def custom(api_client):
    return client.CustomObjectsApi(api_client)


@pytest.fixture
def core(api_client):
    return client.CoreV1Api(api_client)


def refusal(call, *arguments, **options):
    with pytest.raises(ApiException) as caught:
        call(*arguments, **options)
    return caught.value


def test_discovery_and_version(api_client):
    assert client.VersionApi(api_client).get_code().git_version.startswith("v1.32")
    assert client.CoreApi(api_client).get_api_versions().versions == ["v1"]
    groups = {group.name: group for group in client.ApisApi(api_client).get_api_versions().groups}
    assert groups[GROUP].preferred_version.version == VERSION
    resources = {r.name: r for r in client.CustomObjectsApi(api_client).get_api_resources(GROUP, VERSION).resources}
    assert resources["inferenceservices"].short_names == ["isvc"]
    assert resources["inferenceservices/status"].verbs == ["get", "patch", "update"]
    definitions = client.ApiextensionsV1Api(api_client).list_custom_resource_definition().items
    assert ISVC in [definition.metadata.name for definition in definitions]


@pytest.mark.ours  # KServe's controller writes in between
def test_the_life_of_an_inference_service(custom, manifest):
    created = custom.create_namespaced_custom_object(*KIND, manifest)
    assert created["metadata"]["generation"] == 1
    created["spec"]["predictor"]["minReplicas"] = 2
    replaced = custom.replace_namespaced_custom_object(*KIND, "churn", created)
    assert replaced["metadata"]["generation"] == 2
    stale = refusal(custom.replace_namespaced_custom_object, *KIND, "churn", created)
    assert (stale.status, stale.reason) == (409, "Conflict")
    patched = custom.patch_namespaced_custom_object(*KIND, "churn", {"metadata": {"labels": {"a": "b"}}})
    assert patched["metadata"]["labels"] == {"a": "b"}
    assert custom.list_namespaced_custom_object(*KIND, label_selector="a in (b)")["items"] == [patched]
    status = custom.patch_namespaced_custom_object_status(*KIND, "churn", {"status": {"url": "u"}, "spec": {"x": 1}})
    assert (status["status"], status["spec"]) == ({"url": "u"}, patched["spec"])
    assert custom.delete_namespaced_custom_object(*KIND, "churn")["status"] == "Success"
    missing = refusal(custom.get_namespaced_custom_object, *KIND, "churn")
    assert missing.status == 404
    assert '"reason":"NotFound"' in missing.body


def test_only_one_of_eight_writers_wins(custom, manifest):
    custom.create_namespaced_custom_object(*KIND, manifest)
    for _ in range(10):
        outcomes = eight_writers_at_once(custom)
        if 200 in outcomes:
            break
        # A controller wrote the status between their reads and their writes: then all of them are late.
    assert sorted(outcomes) == [200] + [409] * 7


def eight_writers_at_once(custom):
    """Each reads the service, and when all have, replaces it; gives the statuses."""
    outcomes = []
    barrier = threading.Barrier(8)

    def write(number):
        mine = custom.get_namespaced_custom_object(*KIND, "churn")
        mine["spec"]["predictor"]["minReplicas"] = number
        barrier.wait()
        try:
            custom.replace_namespaced_custom_object(*KIND, "churn", mine)
            outcomes.append(200)
        except ApiException as error:
            outcomes.append(error.status)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(2, 10)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(20)
    return outcomes


def test_unknown_fields_are_pruned_with_a_warning(custom, manifest):
    manifest["spec"]["predictor"]["modle"] = {}
    created, code, headers = custom.create_namespaced_custom_object_with_http_info(*KIND, manifest)
    assert code == 201
    assert "modle" not in created["spec"]["predictor"]
    assert headers["Warning"] == '299 - "unknown field \\"spec.predictor.modle\\""'


def test_what_a_patch_may_be(custom, manifest):
    custom.create_namespaced_custom_object(*KIND, manifest)
    operations = [{"op": "replace", "path": "/metadata/annotations/pach_id", "value": "9"}]
    as_list = refusal(custom.patch_namespaced_custom_object, *KIND, "churn", operations)
    assert as_list.status == 400  # the client sends a list as a merge patch
    done = custom.patch_namespaced_custom_object(
        *KIND, "churn", operations, _content_type="application/json-patch+json"
    )
    assert done["metadata"]["annotations"]["pach_id"] == "9"
    manifest["metadata"]["annotations"]["pach_id"] = "10"
    applied = custom.patch_namespaced_custom_object(
        *KIND, "churn", manifest, _content_type="application/apply-patch+yaml", field_manager="test", force=True
    )
    assert applied["metadata"]["annotations"]["pach_id"] == "10"
    nameless = refusal(
        custom.patch_namespaced_custom_object, *KIND, "churn", manifest, _content_type="application/apply-patch+yaml"
    )
    assert nameless.status == 422


def test_core_kinds(core):
    secret = client.V1Secret(metadata=client.V1ObjectMeta(generate_name="s-"), string_data={"k": "v"})
    created = core.create_namespaced_secret(NAMESPACE, secret)
    assert base64.b64decode(created.data["k"]) == b"v"
    broken = refusal(
        core.create_namespaced_secret, NAMESPACE, {"metadata": {"name": "x"}, "data": {"k": "not base64!"}}
    )
    assert broken.status == 400
    assert "illegal base64 data" in broken.body
    account = client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="sa"), secrets=[{"name": "a"}])
    core.create_namespaced_service_account(NAMESPACE, account)
    patched = core.patch_namespaced_service_account("sa", NAMESPACE, {"secrets": [{"name": "b"}]})
    assert [reference.name for reference in patched.secrets] == ["a", "b"]
    assert core.delete_namespaced_service_account("sa", NAMESPACE).metadata.name == "sa"
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "c"}, "data": {"a": "b"}})
    core.delete_collection_namespaced_config_map(NAMESPACE)
    assert core.list_namespaced_config_map(NAMESPACE).items == []
    others = {n.metadata.name for n in core.list_namespace(field_selector=f"metadata.name!={NAMESPACE}").items}
    assert NAMESPACE not in others
    assert others >= {"default", "istio-system", "kserve", "kube-system"}
    nowhere = refusal(core.create_namespaced_secret, "nowhere", secret)
    assert 'namespaces \\"nowhere\\" not found' in nowhere.body
    assert refusal(core.create_namespaced_pod, NAMESPACE, {"metadata": {"name": "p"}}).status == 405


@pytest.mark.ours
def test_pods_and_their_logs(cluster, core):
    cluster.serve_churn()
    pods = core.list_namespaced_pod(NAMESPACE, label_selector="serving.kserve.io/inferenceservice=churn").items
    assert [status.ready for status in pods[0].status.container_statuses] == [True, True]
    name = pods[0].metadata.name
    read = core.read_namespaced_pod_log(
        name, NAMESPACE, container="kserve-container", tail_lines=1, _preload_content=False
    )
    assert read.data == b"line 4\n"
    unclear = refusal(core.read_namespaced_pod_log, name, NAMESPACE)
    assert "a container name must be specified" in unclear.body
    events = core.list_namespaced_event(NAMESPACE, field_selector="involvedObject.name=churn,type=Normal").items
    assert [event.reason for event in events] == ["InferenceServiceReady"]


@pytest.mark.ours
def test_a_watch_sees_every_change_in_order(cluster, custom, manifest):
    custom.create_namespaced_custom_object(*KIND, manifest)
    listed = custom.list_namespaced_custom_object(*KIND)

    def change():
        for number in range(1, 4):
            metadata = {"name": "churn", "namespace": NAMESPACE}
            cluster.store.update_status(ISVC, {"metadata": metadata, "status": {"step": number}})
        cluster.store.delete(ISVC, NAMESPACE, "churn")

    threading.Timer(0.2, change).start()
    seen = []
    revision = listed["metadata"]["resourceVersion"]
    stream = watch.Watch().stream(
        custom.list_namespaced_custom_object, *KIND, resource_version=revision, timeout_seconds=10
    )
    for event in stream:
        seen.append((event["type"], event["object"].get("status", {}).get("step")))
        if event["type"] == "DELETED":
            break
    assert seen == [("MODIFIED", 1), ("MODIFIED", 2), ("MODIFIED", 3), ("DELETED", 3)]


def test_a_watch_without_a_version_starts_with_what_is_there(custom, manifest):
    custom.create_namespaced_custom_object(*KIND, manifest)
    seen = list(watch.Watch().stream(custom.list_namespaced_custom_object, *KIND, timeout_seconds=1))
    assert {event["object"]["metadata"]["name"] for event in seen} == {"churn"}
    assert [event["type"] for event in seen if event["type"] != "MODIFIED"] == ["ADDED"]
    assert seen[0]["type"] == "ADDED"


@pytest.mark.ours  # KServe's controller writes in between
def test_a_selected_object_leaves_the_watch_when_it_leaves_the_selection(custom, manifest):
    manifest["metadata"]["labels"] = {"a": "b"}
    created = custom.create_namespaced_custom_object(*KIND, manifest)
    custom.patch_namespaced_custom_object(*KIND, "churn", {"metadata": {"labels": {"a": "c"}}})
    custom.patch_namespaced_custom_object(*KIND, "churn", {"spec": {"predictor": {"minReplicas": 3}}})
    custom.patch_namespaced_custom_object(*KIND, "churn", {"metadata": {"labels": {"a": "b"}}})
    revision = created["metadata"]["resourceVersion"]
    seen = watch.Watch().stream(
        custom.list_namespaced_custom_object, *KIND, label_selector="a=b", resource_version=revision, timeout_seconds=1
    )
    assert [event["type"] for event in seen] == ["DELETED", "ADDED"]


@pytest.mark.ours
def test_a_watch_resumes_after_a_restart_of_the_server(cluster, custom, manifest):
    revision = custom.create_namespaced_custom_object(*KIND, manifest)["metadata"]["resourceVersion"]
    custom.patch_namespaced_custom_object(*KIND, "churn", {"metadata": {"labels": {"a": "b"}}})
    cluster.stop()
    cluster.start()
    seen = watch.Watch().stream(
        custom.list_namespaced_custom_object, *KIND, resource_version=revision, timeout_seconds=1
    )
    assert [event["object"]["metadata"]["labels"] for event in seen] == [{"a": "b"}]


@pytest.mark.ours
def test_a_watch_from_too_long_ago_is_told_to_list_again(cluster, custom, manifest):
    cluster.stop()
    cluster.start(history_rows=5)
    revision = custom.create_namespaced_custom_object(*KIND, manifest)["metadata"]["resourceVersion"]
    for number in range(8):
        custom.patch_namespaced_custom_object(*KIND, "churn", {"metadata": {"labels": {"n": str(number)}}})
    # The client library lists again by itself after a 410 when it was not given a version; given one, it raises.
    with pytest.raises(ApiException) as caught:
        list(
            watch.Watch().stream(
                custom.list_namespaced_custom_object, *KIND, resource_version=revision, timeout_seconds=2
            )
        )
    assert caught.value.status == 410
    assert "too old resource version" in caught.value.reason


@pytest.mark.ours
def test_tokens_and_certificates(cluster, custom, tmp_path):
    settings = client.Configuration.get_default_copy()
    config.load_kube_config(str(cluster.kubeconfig), client_configuration=settings)
    settings.refresh_api_key_hook = None
    settings.api_key = {"authorization": "Bearer wrong"}
    with client.ApiClient(settings) as stranger:
        assert refusal(client.CoreV1Api(stranger).list_namespace).status == 401
        assert client.VersionApi(stranger).get_code().major == "1"  # public, as on a real cluster
    certificate, key = client_certificate(cluster.tls, "jane", ["system:masters"])
    settings.cert_file, settings.key_file = str(tmp_path / "c.crt"), str(tmp_path / "c.key")
    (tmp_path / "c.crt").write_bytes(certificate)
    (tmp_path / "c.key").write_bytes(key)
    settings.api_key = {}
    with client.ApiClient(settings) as jane:
        assert client.CoreV1Api(jane).list_namespace().items
        review = client.AuthenticationV1Api(jane).create_self_subject_review({})
        assert review.status.user_info.username == "jane"


def test_the_server_speaks_https_with_its_own_authority_only(cluster):
    server = config.new_client_from_config(str(cluster.kubeconfig)).configuration.host
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{server}/version", timeout=5)
