"""What is there from the start."""

import json

from pdk.kserve.kinds.initial_objects import install_initial_objects


def test_a_second_start_changes_nothing(store):
    head = store.revision()
    install_initial_objects(store, ingress_port=8085)
    assert store.revision() == head


def test_what_users_changed_stays_and_the_ingress_follows_its_port(store):
    store.edit("configmaps", "kserve", "inferenceservice-config", lambda c: c | {"data": c["data"] | {"deploy": "{}"}})
    store.delete("namespaces", "", "models")
    install_initial_objects(store, ingress_port=9999)
    assert store.get("configmaps", "kserve", "inferenceservice-config")["data"]["deploy"] == "{}"
    assert store.get("services", "istio-system", "istio-ingressgateway")["spec"]["ports"][0]["port"] == 9999
    assert store.get("namespaces", "", "models")["status"]["phase"] == "Active"


def test_the_sdk_finds_the_names_of_the_keys(store):
    credentials = json.loads(store.get("configmaps", "kserve", "inferenceservice-config")["data"]["credentials"])
    assert credentials["s3"]["s3AccessKeyIDName"] == "AWS_ACCESS_KEY_ID"


def test_the_runtime_supports_pytorch(store):
    spec = store.get("clusterservingruntimes.serving.kserve.io", "", "kserve-torchserve")["spec"]
    assert spec["supportedModelFormats"][0]["name"] == "pytorch"
    assert spec["containers"][0]["name"] == "kserve-container"


def test_crds_show_the_printer_columns_of_kserve(store):
    definition = store.get("customresourcedefinitions.apiextensions.k8s.io", "", "inferenceservices.serving.kserve.io")
    columns = definition["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [column["name"] for column in columns] == [
        "URL",
        "Ready",
        "Prev",
        "Latest",
        "PrevRolledoutRevision",
        "LatestReadyRevision",
        "Age",
    ]
    assert all(column["jsonPath"].startswith(".") for column in columns)
