"""Fetching a model: S3, files, http; whole or not at all."""

import os
import stat
import subprocess
import sys

import pytest

from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.storage_initializer import (
    FetchOrder,
    FetchStatus,
    NoAnswer,
    NothingThere,
    fetch,
    read_order,
)
from pdk.kserve.predictor.storage_uri import S3Access


def order(tmp_path, uri, endpoint="", **more):
    access = S3Access(endpoint_url=endpoint, access_key="key", secret_key="secret")
    return FetchOrder(uri, str(tmp_path / "models"), access, **({"max_bytes": 1 << 20, "max_files": 10} | more))


def run(tmp_path, uri, endpoint="", **more):
    log = []
    fetch(order(tmp_path, uri, endpoint, **more), log.append)
    return "\n".join(log)


def files(tmp_path):
    root = tmp_path / "models"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_s3_lists_by_prefix_and_skips_folders_and_empty_keys(tmp_path, bucket):
    bucket.objects = {
        "churn/config/config.properties": b"a=1",
        "churn/model-store/churn.mar": b"m" * 3_000,
        "churn/model-store/": b"",
        "churn/empty": b"",
        "other/x": b"x",
        "churn-v2/y": b"y",
    }
    log = run(tmp_path, "s3://bucket/churn/", bucket.endpoint)
    assert files(tmp_path) == {"config/config.properties": b"a=1", "model-store/churn.mar": b"m" * 3_000}
    assert "Successfully" not in log
    assert "Downloaded object churn/model-store/churn.mar to model-store/churn.mar (3000 bytes)" in log
    listing, headers = bucket.seen[0]
    assert "list-type" not in listing
    assert "Credential=key/" in headers["Authorization"]


def test_files_are_read_only_and_the_partial_folder_is_gone(tmp_path, bucket):
    bucket.objects = {"m/x": b"x"}
    (tmp_path / "models.partial").mkdir()
    (tmp_path / "models.partial/old").write_text("left by a killed one")
    run(tmp_path, "s3://bucket/m", bucket.endpoint)
    assert files(tmp_path) == {"x": b"x"}
    assert stat.S_IMODE((tmp_path / "models/x").stat().st_mode) == 0o444
    assert not (tmp_path / "models.partial").exists()


def test_nothing_there_yet(tmp_path, bucket):
    with pytest.raises(NothingThere, match="no objects under s3://bucket/churn: is the commit still open"):
        run(tmp_path, "s3://bucket/churn", bucket.endpoint)
    with pytest.raises(NothingThere, match="NoSuchBucket"):
        run(tmp_path, "s3://other/churn", bucket.endpoint)
    assert not (tmp_path / "models").exists()


def test_storage_that_refuses_or_does_not_answer(tmp_path, bucket):
    bucket.answers = [(403, "AccessDenied")]
    with pytest.raises(ModelLoadFailed, match="403 AccessDenied: told to"):
        run(tmp_path, "s3://bucket/churn", bucket.endpoint)
    bucket.answers = [(503, "SlowDown")] * 5
    with pytest.raises(NoAnswer, match="503"):
        run(tmp_path, "s3://bucket/churn", bucket.endpoint)
    with pytest.raises(NoAnswer, match="no answer from"):
        run(tmp_path, "s3://bucket/churn", "http://127.0.0.1:1")


def test_a_cut_off_transfer_leaves_nothing(tmp_path, bucket):
    bucket.objects = {"m/x": b"x" * 100}
    bucket.cut = True
    with pytest.raises((NoAnswer, ModelLoadFailed)):
        run(tmp_path, "s3://bucket/m", bucket.endpoint)
    assert not (tmp_path / "models").exists()


def test_limits(tmp_path, bucket):
    bucket.objects = {f"m/{n}": b"x" * 100 for n in range(5)}
    with pytest.raises(ModelLoadFailed, match="more than 400 bytes"):
        run(tmp_path, "s3://bucket/m", bucket.endpoint, max_bytes=400)
    with pytest.raises(ModelLoadFailed, match="more than 4 files"):
        run(tmp_path, "s3://bucket/m", bucket.endpoint, max_files=4)
    assert not (tmp_path / "models").exists()


def test_keys_that_would_land_elsewhere(tmp_path, bucket):
    bucket.objects = {"m/../../evil": b"x"}
    with pytest.raises(ModelLoadFailed, match="outside the model folder"):
        run(tmp_path, "s3://bucket/m", bucket.endpoint)
    assert not (tmp_path / "evil").exists()


def test_folders_and_files_of_the_machine(tmp_path):
    source = tmp_path / "source"
    (source / "model-store").mkdir(parents=True)
    (source / "model-store/m.mar").write_bytes(b"mar")
    run(tmp_path, source.as_uri())
    assert files(tmp_path) == {"model-store/m.mar": b"mar"}
    (tmp_path / "models").rename(tmp_path / "first")
    run(tmp_path, (source / "model-store/m.mar").as_uri())
    assert files(tmp_path) == {"model-store/m.mar": b"mar"}


def test_links_in_a_folder_are_refused(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "secret").symlink_to("/etc/passwd")
    with pytest.raises(ModelLoadFailed, match="symbolic link"):
        run(tmp_path, source.as_uri())


def test_http_fetches_one_archive(tmp_path, bucket):
    bucket.objects = {"m.mar": b"mar"}
    run(tmp_path, f"{bucket.endpoint}/bucket/m.mar")
    assert files(tmp_path) == {"model-store/m.mar": b"mar"}
    with pytest.raises(ModelLoadFailed, match=r"only a single \.mar"):
        run(tmp_path, f"{bucket.endpoint}/bucket/folder")
    with pytest.raises(NothingThere, match="404"):
        run(tmp_path, f"{bucket.endpoint}/other/m.mar")


def test_an_order_survives_its_way_to_the_child(tmp_path):
    sent = order(tmp_path, "s3://bucket/m", "http://x")
    assert read_order(sent.to_json()) == sent


@pytest.mark.parametrize(
    ("objects", "uri", "status", "last"),
    [
        ({"m/x": b"x"}, "s3://bucket/m", FetchStatus.COMPLETE, "Model downloaded in"),
        ({}, "s3://bucket/m", FetchStatus.NOTHING_YET, "ERROR: no objects under"),
        ({"m/x": b"x"}, "http://127.0.0.1:1/m.mar", FetchStatus.UNREACHABLE, "ERROR: http://127.0.0.1:1/m.mar"),
        ({"m/x": b"x"}, "https://127.0.0.1:1/m.tar", FetchStatus.FAILED, "only a single .mar"),
    ],
)
def test_the_exit_status_says_what_to_do(tmp_path, bucket, objects, uri, status, last):
    bucket.objects = objects
    result = subprocess.run(
        [sys.executable, "-m", "pdk.kserve.predictor.storage_initializer"],
        input=order(tmp_path, uri, bucket.endpoint).to_json(),
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert result.returncode == status, result.stderr.decode()
    assert last in result.stdout.decode().splitlines()[-1]
