"""The storage initializer as a child of the server."""

import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pdk.db.database import Database
from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.fetch import INITIALIZER, Fetcher
from pdk.kserve.predictor.model_spec import parse_model_spec
from pdk.kserve.predictor.revisions import Revision
from pdk.kserve.predictor.settings import Limits, PredictorSettings, S3Defaults
from pdk.kubernetes.store.objects import OBJECT_MIGRATIONS, ObjectStore
from pdk.kubernetes.store.pod_logs import LogOptions, PodLogs
from pdk.process import tree
from pdk.process.child import SubprocessLauncher
from pdk.reconcile.changes import Changes

REVISION = Revision("uid", "ns", "churn", 1, "d", {}, {}, "pod", 1)


@pytest.fixture
def bench(tmp_path, bucket):
    store = ObjectStore(Database(tmp_path / "db", OBJECT_MIGRATIONS), Changes())
    settings = PredictorSettings(
        tmp_path, f"test-fetch/{tmp_path}/", Path(sys.executable), {"PATH": os.environ["PATH"]},
        Path(tempfile.gettempdir()), s3=S3Defaults(bucket.endpoint, "id", "key"), limits=Limits(max_model_files=2),
    )  # fmt: skip
    logs = PodLogs(tmp_path / "logs")
    yield Fetcher(store, logs, settings, SubprocessLauncher()), logs
    tree.kill_marked(lambda marker: marker.startswith(settings.marker_prefix))


def run(fetcher, target, uri="s3://bucket/m"):
    spec = parse_model_spec({"model": {"modelFormat": {"name": "pytorch"}, "storageUri": uri}})
    fetcher.start(REVISION, spec, target)
    deadline = time.monotonic() + 20
    while (outcome := fetcher.poll(REVISION)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not fetcher.is_known(REVISION)
    return outcome


def test_a_whole_model(bench, bucket, tmp_path):
    fetcher, logs = bench
    bucket.objects = {"m/a": b"1"}
    outcome = run(fetcher, tmp_path / "r/models")
    assert (outcome.complete, outcome.again) == (True, False)
    assert (tmp_path / "r/models/a").read_bytes() == b"1"
    log = b"".join(logs.read("ns", "pod", INITIALIZER, LogOptions())).decode()
    assert "Downloaded object m/a" in log
    assert "Credential=id/" in bucket.seen[0][1]["Authorization"]


def test_an_empty_and_a_silent_storage_may_be_asked_again(bench, tmp_path):
    fetcher, _ = bench
    empty = run(fetcher, tmp_path / "models")
    assert (empty.complete, empty.again) == (False, True)
    assert "no objects under s3://bucket/m" in empty.cause
    silent = run(fetcher, tmp_path / "models", "http://127.0.0.1:1/m.mar")
    assert silent.again


def test_a_refusal_is_final(bench, bucket, tmp_path):
    fetcher, _ = bench
    bucket.objects = {f"m/{n}": b"x" for n in range(3)}
    outcome = run(fetcher, tmp_path / "models")
    assert (outcome.complete, outcome.again, outcome.status) == (False, False, 1)
    assert "more than 2 files" in outcome.cause


def test_a_missing_secret_is_found_before_anything_runs(bench, tmp_path):
    fetcher, _ = bench
    spec = parse_model_spec({"model": {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://bucket/m"}})
    revision = Revision("uid", "ns", "churn", 1, "d", {}, {"serving.kserve.io/storageSecretName": "gone"}, "pod", 1)
    with pytest.raises(ModelLoadFailed, match='secrets "gone" not found'):
        fetcher.start(revision, spec, tmp_path / "models")
    assert not fetcher.is_known(revision)


def test_a_fetch_can_be_ended(bench, tmp_path):
    fetcher, _ = bench
    spec = parse_model_spec({"model": {"modelFormat": {"name": "pytorch"}, "storageUri": "s3://bucket/m"}})
    fetcher.start(REVISION, spec, tmp_path / "models")
    assert fetcher.end(REVISION) == -9
    assert fetcher.end(REVISION) == 0
    assert tree.find_marked(lambda marker: marker == fetcher.marker(REVISION)) == []
