"""The storage initializer as a child of the server."""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import wait_until

from pdk.db.database import Database
from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.fetch import start_fetch
from pdk.kserve.predictor.model_spec import parse_model_spec
from pdk.kserve.predictor.node import INITIALIZER, Node
from pdk.kserve.predictor.revisions import Revision, Revisions
from pdk.kserve.predictor.routes import ServiceRoutes
from pdk.kserve.predictor.settings import ModelLimits, PredictorSettings
from pdk.kserve.predictor.storage_initializer import FetchStatus
from pdk.kserve.predictor.storage_uri import S3Access
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.pod_logs import LogOptions, PodLogs
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.process import tree
from pdk.reconcile.changes import Changes

REVISION = Revision("uid", "ns", "churn", 1, "d", {}, {}, "pod", 1)


@pytest.fixture
def node(tmp_path, bucket):
    db = Database(tmp_path / "db", OBJECT_MIGRATIONS)
    settings = PredictorSettings(
        tmp_path, f"test-fetch/{tmp_path}/", Path(sys.executable), {"PATH": os.environ["PATH"]},
        Path(tempfile.gettempdir()), s3=S3Access(bucket.endpoint, "id", "key"), limits=ModelLimits(max_model_files=2),
    )  # fmt: skip
    yield Node(ObjectStore(db, Changes()), Revisions(db), PodLogs(tmp_path / "logs"), ServiceRoutes(), settings)
    tree.kill_marked(lambda marker: marker.startswith(settings.marker_prefix))


def start(node, target, uri="s3://bucket/m", revision=REVISION):
    spec = parse_model_spec({"model": {"modelFormat": {"name": "pytorch"}, "storageUri": uri}})
    return start_fetch(node, revision, spec, target)


def run(node, target, uri="s3://bucket/m"):
    fetch = start(node, target, uri)
    return wait_until(fetch.poll)


def test_a_whole_model(node, bucket, tmp_path):
    bucket.objects = {"m/a": b"1"}
    outcome = run(node, tmp_path / "r/models")
    assert outcome.status == FetchStatus.COMPLETE
    assert (tmp_path / "r/models/a").read_bytes() == b"1"
    log = b"".join(node.logs.follow("ns", "pod", INITIALIZER, LogOptions()).read_new()).decode()
    assert "Downloaded object m/a" in log
    assert "Credential=id/" in bucket.seen[0][1]["Authorization"]


def test_an_empty_and_a_silent_storage_may_be_asked_again(node, tmp_path):
    empty = run(node, tmp_path / "models")
    assert empty.status == FetchStatus.NOTHING_YET
    assert "no objects under s3://bucket/m" in empty.cause
    silent = run(node, tmp_path / "models", "http://127.0.0.1:1/m.mar")
    assert silent.status == FetchStatus.UNREACHABLE


def test_a_refusal_is_final(node, bucket, tmp_path):
    bucket.objects = {f"m/{n}": b"x" for n in range(3)}
    outcome = run(node, tmp_path / "models")
    assert outcome.status == FetchStatus.FAILED
    assert "more than 2 files" in outcome.cause


def test_a_missing_secret_is_found_before_anything_runs(node, tmp_path):
    revision = replace(REVISION, annotations={"serving.kserve.io/storageSecretName": "gone"})
    with pytest.raises(ModelLoadFailed, match='secrets "gone" not found'):
        start(node, tmp_path / "models", revision=revision)
    assert tree.find_marked(lambda marker: marker.startswith(node.settings.marker_prefix)) == []


def test_a_fetch_can_be_ended(node, tmp_path):
    fetch = start(node, tmp_path / "models")
    assert fetch.end() == -9
    assert fetch.end() == -9
    assert tree.find_marked(lambda marker: marker == node.marker(REVISION, "fetch")) == []
