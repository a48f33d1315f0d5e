"""Logs and secrets through the official client."""

import datetime
import threading

import grpc
import pytest
from pachyderm_sdk.api import pps


def test_lines_say_where_they_come_from(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "echo one", "echo two >&2")
    job_id = bench.commit("data", {"/a": "1"})
    bench.wait(pipeline, job_id)
    messages = list(bench.logs(pipeline, job_id))
    user = [m for m in messages if m.user]
    assert sorted(m.message for m in user) == ["one", "two"]
    assert {(m.pipeline_name, m.project_name, m.job_id) for m in messages} == {(pipeline.name, "default", job_id)}
    (datum,) = bench.client.pps.list_datum(job=pps.Job(pipeline=pipeline, id=job_id))
    assert {m.datum_id for m in user} == {datum.datum.id}
    assert user[0].data[0].path == "/a"
    assert user[0].ts.year >= 2024
    worker = [m.message for m in messages if not m.user]
    assert any("beginning to run user code" in line for line in worker)
    assert any("finished running user code after" in line for line in worker)
    assert any("image ubuntu:20.04 was not used" in line for line in worker)


def test_filters_choose_lines(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "for n in 1 2 3; do echo $(basename /pfs/data/*) $n; done")
    job_id = bench.commit("data", {"/a": "1", "/b": "2"})
    bench.wait(pipeline, job_id)

    def user(**filters):
        return [m.message for m in bench.logs(pipeline, job_id, **filters) if m.user]

    assert user(data_filters=["/b"]) == ["b 1", "b 2", "b 3"]
    datums = {i.data[0].file.path: i for i in bench.client.pps.list_datum(job=pps.Job(pipeline=pipeline, id=job_id))}
    assert user(datum=datums["/a"].datum) == ["a 1", "a 2", "a 3"]
    assert user(data_filters=[datums["/a"].data[0].hash.hex()]) == ["a 1", "a 2", "a 3"]
    assert user(data_filters=["/c"]) == []
    assert len(list(bench.logs(pipeline, job_id, tail=2))) == 2
    assert user(since=datetime.timedelta(hours=1)) == user()
    assert list(bench.logs(pipeline, job_id, since=datetime.timedelta(microseconds=1))) == []
    # a pipeline's log is that of all its jobs, in order
    other = bench.commit("data", {"/a": "changed"})
    bench.wait(pipeline, other)
    assert [m.message for m in bench.logs(pipeline) if m.user][-3:] == ["a 1", "a 2", "a 3"]
    assert {m.job_id for m in bench.logs(pipeline)} == {job_id, other}


def test_follow_shows_lines_as_they_come(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "echo one", "sleep 0.5", "echo two", glob="/")
    stream = bench.logs(pipeline, follow=True)
    seen = []

    def read():
        for message in stream:
            if message.user:
                seen.append(message.message)
            if len(seen) == 2:
                return

    reader = threading.Thread(target=read)
    reader.start()
    bench.wait(pipeline, bench.commit("data", {"/a": "1"}))
    reader.join(5)
    assert seen == ["one", "two"]


def test_master_lines_tell_what_became_of_jobs(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "exit 1", datum_tries=1)
    assert next(bench.logs(pipeline, master=True, follow=True)).master
    job_id = bench.commit("data", {"/a": "1"})
    bench.wait(pipeline, job_id)
    lines = [m.message for m in bench.logs(pipeline, job_id, master=True)]
    assert any("JOB_RUNNING: 1 datums" in line for line in lines)
    assert "JOB_FAILURE" in lines[-1]


def test_unknown_pipelines_and_jobs_are_errors(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "true")
    for call in (
        lambda: bench.logs(pps.Pipeline(name="none")),
        lambda: bench.logs(pipeline, "0" * 12 + "4" + "0" * 19),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            list(call())
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError, match="pipeline must be specified for the given job"):
        list(bench.client.pps.get_logs(job=pps.Job(id="x")))


def test_secrets_reach_user_code_and_never_a_log(bench):
    name = bench.name("secret")
    bench.client.pps.create_secret(name=name, data={"password": "corr3ct-horse", "namespace": "models"})
    assert name in {info.secret.name for info in bench.client.pps.list_secret().secret_info}
    info = bench.client.pps.inspect_secret(secret=pps.Secret(name=name))
    assert (info.type, info.secret.name) == ("Opaque", name)
    bench.repo("data")
    pipeline = bench.pipeline(
        "p", 'echo "password $PASSWORD in $NAMESPACE"', 'test "$PASSWORD" != corr3ct-horse', glob="/", datum_tries=1,
        transform={
            "secrets": [
                {"name": name, "key": "password", "env_var": "PASSWORD"},
                {"name": name, "key": "namespace", "env_var": "NAMESPACE"},
            ]
        },
    )  # fmt: skip
    job_id = bench.commit("data", {"/a": "1"})
    info = bench.wait(pipeline, job_id)
    assert "corr3ct" not in info.reason
    assert "password ***** in models" in info.reason
    assert "password ***** in models" in [m.message for m in bench.logs(pipeline, job_id)]
    bench.client.pps.delete_secret(secret=pps.Secret(name=name))
    for call in (bench.client.pps.inspect_secret, bench.client.pps.delete_secret):
        with pytest.raises(grpc.RpcError) as caught:
            call(secret=pps.Secret(name=name))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError, match="must be the JSON"):
        super(type(bench.client.pps), bench.client.pps).create_secret(file=b"junk")


@pytest.mark.ours
def test_the_database_with_the_secrets_is_private(pachd):
    for path in pachd.db.path.parent.glob("pachd.db*"):
        assert path.stat().st_mode & 0o077 == 0, path
