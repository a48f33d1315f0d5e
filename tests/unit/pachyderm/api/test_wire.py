import dataclasses
import datetime

import betterproto
import pytest
from betterproto.lib.google.protobuf import BytesValue
from google.protobuf import json_format
from pachyderm_sdk.api import pfs, pps

from pdk.pachyderm.api.wire import PACKAGES, Wire


@pytest.fixture(scope="module")
def wire():
    return Wire()


def test_bytes_are_the_same_as_the_sdks(wire):
    started = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.UTC)
    ours = wire[pfs.CommitInfo](description="x", size_bytes_upper_bound=-5, metadata={"k": "v"})
    ours.commit.repo.name, ours.commit.repo.type, ours.commit.id = "r", "user", "1"
    ours.commit.repo.project.name = "default"
    ours.started.FromDatetime(started)
    ours.origin.kind = pfs.OriginKind.AUTO
    ours.details.compacting_time.FromTimedelta(datetime.timedelta(seconds=90))
    theirs = pfs.CommitInfo().parse(ours.SerializeToString())
    assert (theirs.description, theirs.size_bytes_upper_bound, theirs.metadata) == ("x", -5, {"k": "v"})
    assert theirs.commit.repo == pfs.Repo(name="r", type="user", project=pfs.Project(name="default"))
    assert (theirs.started, theirs.origin.kind) == (started, pfs.OriginKind.AUTO)
    assert theirs.details.compacting_time == datetime.timedelta(seconds=90)
    assert wire[pfs.CommitInfo].FromString(bytes(theirs)) == ours


def test_oneofs_and_wrappers(wire):
    empty = wire[pfs.ModifyFileRequest].FromString(
        bytes(pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"")))
    )
    assert empty.WhichOneof("body") == "add_file"
    assert empty.add_file.WhichOneof("source") == "raw", "put with no bytes is not the same as put without a source"
    assert wire[pfs.AddFile](path="/a").WhichOneof("source") is None
    ours = wire[pfs.AddFile](path="/a", raw=wire[BytesValue](value=b"x"))
    assert pfs.AddFile().parse(ours.SerializeToString()).raw == b"x"


def test_every_message_and_field_of_the_sdk_is_there(wire):
    count = 0
    for module, package in PACKAGES.items():
        for cls in vars(module).values():
            if isinstance(cls, type) and issubclass(cls, betterproto.Message) and cls.__module__ == module.__name__:
                descriptor = wire.pool.FindMessageTypeByName(f"{package}.{cls.__name__}")
                numbers = {field.number for field in descriptor.fields}
                assert numbers == {betterproto.FieldMetadata.get(field).number for field in dataclasses.fields(cls)}
                count += 1
    assert count > 280


def test_json_has_the_names_of_the_proto(wire):
    request = wire[pps.CreatePipelineRequest]()
    spec = {
        "pipeline": {"name": "p"},
        "datumTimeout": "60s",
        "resource_requests": {"memory": "1G"},
        "egress": {"URL": "s3://x"},
        "tolerations": [{"operator": "EXISTS", "toleration_seconds": "5"}],
    }
    json_format.ParseDict(spec, request)
    assert request.egress.URL == "s3://x"
    assert request.tolerations[0].toleration_seconds.value == 5
    assert pps.CreatePipelineRequest().parse(request.SerializeToString()).egress.url == "s3://x"
    with pytest.raises(json_format.ParseError, match="nope"):
        json_format.ParseDict({"nope": 1}, request)
    job = wire[pps.JobInfo](state=pps.JobState.JOB_SUCCESS)
    assert json_format.MessageToDict(job, preserving_proto_field_name=True) == {"state": "JOB_SUCCESS"}


def test_methods(wire):
    modify = wire.rpcs["pfs_v2.API", "ModifyFile"]
    assert (modify.request_streams, modify.response_streams) == (True, False)
    assert modify.request.DESCRIPTOR.full_name == "pfs_v2.ModifyFileRequest"
    assert modify.response.DESCRIPTOR.full_name == "google.protobuf.Empty"
    assert wire.rpcs["pfs_v2.API", "GetFileTAR"].request.DESCRIPTOR.full_name == "pfs_v2.GetFileRequest"
    assert wire.rpcs["pps_v2.API", "ListSecret"].request.DESCRIPTOR.full_name == "google.protobuf.Empty"
    assert wire.rpcs["pps_v2.API", "CreateDatum"].request_streams
    assert sum(service == "pfs_v2.API" for service, _ in wire.rpcs) == 56
    assert sum(service == "pps_v2.API" for service, _ in wire.rpcs) == 42
