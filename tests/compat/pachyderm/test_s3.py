"""The S3 gateway through boto3, used as KServe's storage initializer uses it, and over plain HTTP."""

import http.client
import random

import boto3
import pytest
from botocore import UNSIGNED
from botocore.client import Config
from botocore.exceptions import ClientError
from descriptors import times_open
from pachyderm_sdk.api import pfs
from targets import own
from waiting import within

MODEL = own("model")
LARGE = random.Random(1).randbytes(20 << 20)


@pytest.fixture
def s3(gateway):
    return boto3.client(
        "s3",
        endpoint_url="http://{}:{}".format(*gateway),
        aws_access_key_id="key",
        aws_secret_access_key="key",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
    )


@pytest.fixture
def http_get(gateway):
    def get(path, method="GET", **headers):
        connection = http.client.HTTPConnection(*gateway, timeout=30)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body.decode(errors="replace"), response.headers

    return get


@pytest.fixture
def commit(client):
    client.pfs.create_repo(repo=pfs.Repo.from_uri(own("model")))
    with client.pfs.commit(branch=pfs.Branch.from_uri(own("model@master"))) as commit:
        for path, data in {
            "/churn/config/config.properties": b"x=1",
            "/churn/model-store/churn.mar": b"mar",
            "/other/a b.txt": b"",
            "/top": b"t",
        }.items():
            commit.put_file_from_bytes(path=path, data=data)
    return commit


def keys(response):
    return [entry["Key"] for entry in response.get("Contents", [])]


def code_of(call, **kwargs):
    with pytest.raises(ClientError) as caught:
        call(**kwargs)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


def test_buckets_are_branches(s3, commit):
    response = s3.list_buckets()
    assert [bucket["Name"] for bucket in response["Buckets"] if MODEL in bucket["Name"]] == [f"master.{MODEL}.default"]
    assert response["Owner"]["DisplayName"] == "pachyderm"
    assert s3.get_bucket_location(Bucket=MODEL)["LocationConstraint"] == "PACHYDERM"
    assert s3.head_bucket(Bucket=f"master.{MODEL}")["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    "name", ["{repo}", "master.{repo}", "master.{repo}.default", "{id}.master.{repo}.default", "{id}.{repo}"]
)
def test_bucket_names(s3, commit, name):
    bucket = name.format(id=commit.id, repo=MODEL)
    assert keys(s3.list_objects(Bucket=bucket, Prefix="churn")) == [
        "churn/config/config.properties",
        "churn/model-store/churn.mar",
    ]


@pytest.mark.parametrize(
    "name", ["nope", f"dev.{MODEL}", f"master.{MODEL}.other", "a.b.c.d.e", "0" * 12 + "4" + "0" * 19 + f".{MODEL}"]
)
def test_no_such_bucket(s3, commit, name):
    assert code_of(s3.list_objects, Bucket=name) == (404, "NoSuchBucket")


def test_the_storage_initializers_way(s3, commit, tmp_path):
    """boto3's resource interface: list by prefix (version 1), then download each object."""
    bucket = f"{commit.id}.master.{MODEL}.default"
    listed = s3.list_objects(Bucket=bucket, Prefix="churn", EncodingType="url")
    for entry in listed["Contents"]:
        target = tmp_path / entry["Key"]
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, entry["Key"], str(target))
    assert (tmp_path / "churn/model-store/churn.mar").read_bytes() == b"mar"
    assert listed["Contents"][0]["Size"] == 3
    assert listed["Contents"][0]["LastModified"].year > 2000


def test_large_objects_come_in_parallel_ranges(s3, client, commit, tmp_path):
    client.pfs.put_file_from_bytes(commit=pfs.Commit.from_uri(own("model@master")), path="/big", data=LARGE)
    s3.download_file(MODEL, "big", str(tmp_path / "big"))
    assert (tmp_path / "big").read_bytes() == LARGE
    part = s3.get_object(Bucket=MODEL, Key="big", Range="bytes=1000000-1999999")
    assert part["Body"].read() == LARGE[1_000_000:2_000_000]
    assert part["ContentRange"] == f"bytes 1000000-1999999/{len(LARGE)}"
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206


@pytest.mark.parametrize(
    ("header", "status", "body"),
    [
        ("bytes=0-0", 206, "m"),
        ("bytes=1-", 206, "ar"),
        ("bytes=-2", 206, "ar"),
        ("bytes=0-99", 206, "mar"),
        ("bytes=2-1", 200, "mar"),
        ("bytes=0-0,2-2", 200, "mar"),
        ("lines=1-2", 200, "mar"),
    ],
)
def test_ranges(http_get, commit, header, status, body):
    assert http_get(f"/{MODEL}/churn/model-store/churn.mar", Range=header)[:2] == (status, body)


def test_a_range_outside_the_object(s3, commit):
    assert code_of(s3.get_object, Bucket=MODEL, Key="top", Range="bytes=5-") == (416, "InvalidRange")


def test_head_and_get(s3, client, commit):
    head = s3.head_object(Bucket=MODEL, Key="churn/model-store/churn.mar")
    assert head["ContentLength"] == 3
    info = client.pfs.inspect_file(file=pfs.File(commit=commit, path="/churn/model-store/churn.mar"))
    assert head["ETag"] == f'"{info.hash.hex()}"'
    got = s3.get_object(Bucket=MODEL, Key="churn/model-store/churn.mar")
    assert (got["Body"].read(), got["ETag"]) == (b"mar", head["ETag"])
    assert s3.get_object(Bucket=MODEL, Key="other/a b.txt")["Body"].read() == b""
    for key in ("nope", "churn", "churn/", "churn/model-store"):
        assert code_of(s3.get_object, Bucket=MODEL, Key=key) == (404, "NoSuchKey")
        assert code_of(s3.head_object, Bucket=MODEL, Key=key) == (404, "404")


def test_conditions(s3, http_get, commit):
    etag = s3.head_object(Bucket=MODEL, Key="top")["ETag"]
    assert http_get(f"/{MODEL}/top", If_None_Match=etag)[:2] == (304, "")
    assert http_get(f"/{MODEL}/top", If_Match=etag)[:2] == (200, "t")
    assert code_of(s3.get_object, Bucket=MODEL, Key="top", IfMatch='"other"') == (412, "PreconditionFailed")


def test_delimiters_and_prefixes(s3, commit):
    response = s3.list_objects(Bucket=MODEL, Delimiter="/")
    assert keys(response) == ["top"]
    assert [prefix["Prefix"] for prefix in response["CommonPrefixes"]] == ["churn/", "other/"]
    response = s3.list_objects(Bucket=MODEL, Delimiter="/", Prefix="churn/")
    assert [prefix["Prefix"] for prefix in response["CommonPrefixes"]] == ["churn/config/", "churn/model-store/"]
    assert keys(s3.list_objects(Bucket=MODEL, Prefix="churn/model-store/ch")) == ["churn/model-store/churn.mar"]
    assert keys(s3.list_objects(Bucket=MODEL, Prefix="/other")) == ["other/a b.txt"]
    assert keys(s3.list_objects(Bucket=MODEL, Prefix="nope/x")) == []
    assert keys(s3.list_objects(Bucket=MODEL, Prefix="top")) == ["top"]
    assert code_of(s3.list_objects, Bucket=MODEL, Delimiter="b") == (400, "InvalidDelimiter")


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_paging(s3, client, operation, delimiter):
    client.pfs.create_repo(repo=pfs.Repo.from_uri(own("many")))
    names = [f"d/{number:02}" for number in range(7)] + ["d/e/x", "d/e/y", "d/f/z", "zz"]
    with client.pfs.commit(branch=pfs.Branch.from_uri(own("many@master"))) as commit:
        for name in names:
            commit.put_file_from_bytes(path=name, data=b"x")
    pages = s3.get_paginator(operation).paginate(
        Bucket=own("many"), Prefix="d/", Delimiter=delimiter, PaginationConfig={"PageSize": 2}
    )
    found, prefixes, sizes = [], [], []
    for page in pages:
        found += keys(page)
        prefixes += [prefix["Prefix"] for prefix in page.get("CommonPrefixes", [])]
        sizes.append(len(page.get("Contents", [])) + len(page.get("CommonPrefixes", [])))
    assert found == ([name for name in names if name.count("/") == 1] if delimiter else names[:-1])
    assert prefixes == (["d/e/", "d/f/"] if delimiter else [])
    assert sizes[:-1] == [2] * (len(sizes) - 1)


def test_starting_after_a_key(s3, commit):
    response = s3.list_objects_v2(Bucket=MODEL, StartAfter="churn/model-store", MaxKeys=2)
    assert keys(response) == ["churn/model-store/churn.mar", "other/a b.txt"]
    assert (response["KeyCount"], response["IsTruncated"]) == (2, True)


def test_an_open_output_commit_is_empty_until_it_is_finished(s3, client, commit):
    """The rollout asks for the commit of its own job: it must get that, not the one before."""
    client.pfs.create_repo(repo=pfs.Repo.from_uri(own("out")))
    output = pfs.Branch.from_uri(own("out@master"))
    client.pfs.create_branch(branch=output, provenance=[pfs.Branch.from_uri(own("model@master"))])

    def finish(text):
        head = client.pfs.inspect_branch(branch=output).head
        client.pfs.put_file_from_bytes(commit=head, path="/m/f", data=text)
        client.pfs.finish_commit(commit=head)

    finish(b"old")
    client.pfs.put_file_from_bytes(commit=pfs.Commit.from_uri(own("model@master")), path="/top", data=b"new")
    job = client.pfs.inspect_branch(branch=output).head.id
    bucket = f"{job}.master.{own('out')}.default"
    assert keys(s3.list_objects(Bucket=bucket, Prefix="m")) == []
    assert code_of(s3.get_object, Bucket=bucket, Key="m/f") == (404, "NoSuchKey")
    finish(b"new")
    assert s3.get_object(Bucket=bucket, Key="m/f")["Body"].read() == b"new"
    # The alias holds for buckets too: the input of that job.
    assert s3.get_object(Bucket=f"{job}.master.{MODEL}", Key="top")["Body"].read() == b"new"


def test_unsigned_requests(gateway, commit):
    anonymous = boto3.client(
        "s3",
        endpoint_url="http://{}:{}".format(*gateway),
        region_name="us-east-1",
        config=Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}),
    )
    assert anonymous.get_object(Bucket=MODEL, Key="top")["Body"].read() == b"t"


@pytest.mark.ours
def test_writing_is_not_implemented(s3, http_get, commit):
    assert code_of(s3.put_object, Bucket=MODEL, Key="x", Body=b"x" * 100_000) == (501, "NotImplemented")
    assert code_of(s3.delete_object, Bucket=MODEL, Key="top") == (501, "NotImplemented")
    assert code_of(s3.create_bucket, Bucket="new") == (501, "NotImplemented")
    assert code_of(s3.get_bucket_acl, Bucket=MODEL) == (501, "NotImplemented")
    assert code_of(s3.get_object_tagging, Bucket=MODEL, Key="top") == (501, "NotImplemented")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/{}/../../etc/passwd", 404, "<Code>NoSuchKey</Code>"),
        ("/%00", 404, "<Code>NoSuchBucket</Code>"),
        ("/{}/%ff", 404, "<Code>NoSuchKey</Code>"),
        ("/{}/%2e%2e/top", 200, "t"),
        ("/{}//top", 200, "t"),
    ],
)
def test_odd_paths_stay_in_the_repo(http_get, commit, path, status, words):
    found, body, _ = http_get(path.format(MODEL))
    assert (found, words in body, "root:" in body) == (status, True, False)


@pytest.mark.ours
def test_stopping_does_not_wait_for_idle_connections(pfs_server, commit):
    connection = http.client.HTTPConnection("127.0.0.1", pfs_server.gateway.port, timeout=30)
    connection.request("GET", f"/{MODEL}/top")
    assert connection.getresponse().read() == b"t"
    within(5, pfs_server.gateway.stop)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        connection.request("GET", f"/{MODEL}/top")
        connection.getresponse()


@pytest.mark.ours
def test_many_connections_do_not_hold_on_to_the_database(http_get, pfs_server, commit):
    for _ in range(100):
        assert http_get(f"/{MODEL}/top")[:2] == (200, "t")
    assert times_open(pfs_server.db.path) < 80
