"""Pipelines through the official client: create, update, start, stop, delete, and what is refused."""

import json

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps

State = pps.PipelineState


def refused(call, code, *texts):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() == code
    for text in texts:
        assert text in caught.value.details()


def test_create_with_the_full_message(bench):
    bench.repo("data")
    bench.client.pps.create_pipeline(
        pipeline=pps.Pipeline(name=bench.name("p")),
        transform=pps.Transform(cmd=["sh"], stdin=["cp /pfs/data/* /pfs/out"], env={"A": "b"}, accept_return_code=[3]),
        input=pps.Input(pfs=pps.PfsInput(repo=bench.name("data"), name="data", glob="/*")),
        parallelism_spec=pps.ParallelismSpec(constant=2),
        description="copies",
        metadata=pps.Metadata(labels={"x": "y"}),
        resource_limits=pps.ResourceSpec(memory="1G", gpu=pps.GpuSpec(number=1)),
    )
    pipeline = pps.Pipeline(name=bench.name("p"))
    info = bench.client.pps.inspect_pipeline(pipeline=pipeline, details=True)
    assert (info.version, info.state, info.parallelism) == (1, State.PIPELINE_RUNNING, 2)
    assert info.type == pps.PipelineInfoPipelineType.PIPELINE_TYPE_TRANSFORM
    assert info.details.transform.cmd == ["sh"]
    assert info.details.transform.accept_return_code == [3]
    assert info.details.input.pfs.branch == "master"
    assert info.details.description == "copies"
    assert info.details.metadata.labels == {"x": "y"}
    assert info.details.resource_limits.gpu.number == 1
    assert info.details.created_at.year >= 2024
    assert info.details.salt
    assert info.spec_commit.branch.name == "master"
    assert json.loads(info.effective_spec_json)["datumTries"] == 3
    job_id = bench.commit("data", {"/a": "1"})
    assert bench.wait(pipeline, job_id).data_processed == 1
    assert bench.output(pipeline, job_id) == {"/a": "1"}


def test_details_come_only_when_asked_for_and_lists_always_have_them(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "true")
    assert not bench.client.pps.inspect_pipeline(pipeline=pipeline).details.transform.cmd
    (listed,) = (i for i in bench.client.pps.list_pipeline() if i.pipeline.name == pipeline.name)
    assert listed.details.transform.cmd == ["/bin/sh", "-e"]
    assert json.loads(listed.user_spec_json)["pipeline"]["name"] == pipeline.name
    assert bench.client.pps.pipeline_exists(pipeline)
    assert not bench.client.pps.pipeline_exists(pps.Pipeline(name=bench.name("none")))


def test_both_spellings_of_names_work(bench):
    bench.repo("data")
    spec = bench.spec("p", "test $(wc -c < /pfs/data/a) = 0")
    spec["input"]["pfs"]["emptyFiles"] = True
    spec["parallelismSpec"] = {"constant": "1"}
    spec["datumTries"] = 1
    answer = bench.create(spec)
    effective = json.loads(answer.effective_create_pipeline_request_json)
    assert effective["input"]["pfs"]["emptyFiles"] is True
    pipeline = pps.Pipeline(name=bench.name("p"))
    info = bench.wait(pipeline, bench.commit("data", {"/a": "content"}))
    assert info.state == pps.JobState.JOB_SUCCESS, info.reason


def test_an_unknown_field_is_named_with_its_place(bench):
    bench.repo("data")
    spec = bench.spec("p", "true", transform={"comand": ["sh"]})
    texts = ['unknown field "comand"', 'did you mean "cmd"', "transform.comand"]
    refused(lambda: bench.create(spec), grpc.StatusCode.INVALID_ARGUMENT, *texts)
    assert not bench.client.pps.pipeline_exists(pps.Pipeline(name=bench.name("p")))


def test_a_missing_input_repo_is_named_and_nothing_is_left(bench):
    spec = bench.spec("p", "true", reads="missing")
    refused(lambda: bench.create(spec), grpc.StatusCode.NOT_FOUND, f"repo default/{bench.name('missing')} not found")
    assert not bench.client.pfs.repo_exists(pfs.Repo(name=bench.name("p")))


def test_a_missing_secret_or_key_is_named(bench):
    bench.repo("data")
    secret = bench.name("secret")
    spec = bench.spec("p", "true", transform={"secrets": [{"name": secret, "key": "k", "env_var": "K"}]})
    refused(lambda: bench.create(spec), grpc.StatusCode.FAILED_PRECONDITION, f"missing Kubernetes secret {secret}")
    bench.client.pps.create_secret(name=secret, data={"other": "x"})
    refused(
        lambda: bench.create(spec), grpc.StatusCode.FAILED_PRECONDITION, f"missing Kubernetes secret {secret}", '"k"'
    )
    assert not bench.client.pfs.repo_exists(pfs.Repo(name=bench.name("p")))


def test_names_can_be_taken(bench):
    bench.repo("data")
    bench.repo("taken")
    spec = bench.spec("taken", "true")
    text = "cannot be created because a repo with the same name already exists"
    refused(lambda: bench.create(spec), grpc.StatusCode.ALREADY_EXISTS, text)
    bench.pipeline("p", "true")
    again = bench.spec("p", "true")
    refused(
        lambda: bench.create(again),
        grpc.StatusCode.ALREADY_EXISTS,
        f'pipeline "default/{bench.name("p")}" already exists',
    )


def test_a_cycle_is_refused(bench):
    bench.repo("data")
    bench.pipeline("a", "true")
    bench.pipeline("b", "true", reads="a")
    spec = bench.spec("a", "true", reads="b")
    refused(lambda: bench.create(spec, update=True), grpc.StatusCode.INVALID_ARGUMENT, "provenance")
    assert bench.client.pps.inspect_pipeline(pipeline=pps.Pipeline(name=bench.name("a"))).version == 1


def test_a_dry_run_changes_nothing(bench):
    bench.repo("data")
    answer = bench.create(bench.spec("p", "true"), dry_run=True)
    assert json.loads(answer.effective_create_pipeline_request_json)["outputBranch"] == "master"
    assert not bench.client.pps.pipeline_exists(pps.Pipeline(name=bench.name("p")))


def test_a_pipeline_without_a_command_fails_and_says_why(bench):
    bench.repo("data")
    spec = bench.spec("p", "true", transform={"cmd": []})
    bench.create(spec)
    pipeline = pps.Pipeline(name=bench.name("p"))
    info = bench.client.pps.inspect_pipeline(pipeline=pipeline)
    assert (info.state, info.reason) == (State.PIPELINE_FAILURE, "nothing to run: no transform.cmd")
    assert bench.first_job(pipeline).state == pps.JobState.JOB_FAILURE


def test_an_update_is_a_new_version_that_skips_unless_told_to_reprocess(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "echo 1 > /pfs/out/version")
    bench.wait(pipeline, bench.commit("data", {"/a": "x"}))

    def latest():
        info = next(iter(bench.client.pps.list_job(pipeline=pipeline)))
        return bench.wait(pipeline, info.job.id)

    bench.pipeline("p", "echo 2 > /pfs/out/version", update=True)
    job = latest()
    assert (job.pipeline_version, job.data_skipped) == (2, 1)
    assert bench.output(pipeline, job.job.id) == {"/version": "1\n"}
    bench.pipeline("p", "echo 3 > /pfs/out/version", update=True, reprocess=True)
    job = latest()
    assert (job.pipeline_version, job.data_processed) == (3, 1)
    assert bench.output(pipeline, job.job.id) == {"/version": "3\n"}
    bench.client.pps.rerun_pipeline(pipeline=pipeline, reprocess=True)
    assert (latest().pipeline_version, latest().data_processed) == (4, 1)
    assert len(list(bench.client.pps.list_pipeline(pipeline=pipeline, history=-1))) == 4
    older = pps.Pipeline(name=f"{pipeline.name}^1")
    assert bench.client.pps.inspect_pipeline(pipeline=older).version == 3
    assert len(list(bench.client.pps.list_job(pipeline=pipeline))) == 1
    assert len(list(bench.client.pps.list_job(pipeline=pipeline, history=-1))) == 5


def test_an_update_kills_what_runs(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "echo begun", "sleep 300")
    job_id = bench.commit("data", {"/a": "x"})
    next(m for m in bench.logs(pipeline, job_id, follow=True) if m.user)
    bench.pipeline("p", "true", update=True)
    info = bench.wait(pipeline, job_id)
    assert info.state == pps.JobState.JOB_KILLED
    assert info.reason == "all jobs killed because pipeline was updated"


def test_a_stopped_pipeline_sleeps_until_it_is_started(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "cp /pfs/data/* /pfs/out", glob="/")
    bench.first_job(pipeline)
    bench.client.pps.stop_pipeline(pipeline=pipeline)
    info = bench.client.pps.inspect_pipeline(pipeline=pipeline)
    assert (info.state, info.stopped) == (State.PIPELINE_PAUSED, True)
    job_id = bench.commit("data", {"/a": "1"})
    assert not bench.client.pps.job_exists(pps.Job(pipeline=pipeline, id=job_id))
    bench.client.pps.start_pipeline(pipeline=pipeline)
    job = next(iter(bench.client.pps.list_job(pipeline=pipeline))).job
    assert bench.wait(pipeline, job.id).state == pps.JobState.JOB_SUCCESS
    assert bench.output(pipeline, job.id) == {"/a": "1"}
    assert bench.client.pps.inspect_pipeline(pipeline=pipeline).state == State.PIPELINE_RUNNING


def test_an_autoscaling_pipeline_stands_by_between_jobs(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "echo begun", "sleep 0.5", autoscaling=True)
    bench.first_job(pipeline)
    assert bench.client.pps.inspect_pipeline(pipeline=pipeline).state == State.PIPELINE_STANDBY
    job_id = bench.commit("data", {"/a": "1"})
    assert bench.client.pps.inspect_pipeline(pipeline=pipeline).state == State.PIPELINE_RUNNING
    bench.wait(pipeline, job_id)
    info = bench.client.pps.inspect_pipeline(pipeline=pipeline)
    assert (info.state, info.last_job_state) == (State.PIPELINE_STANDBY, pps.JobState.JOB_SUCCESS)


def test_deleting_a_pipeline_takes_its_repos_unless_told_to_keep_them(bench):
    bench.repo("data")
    first = bench.pipeline("first", "cp /pfs/data/* /pfs/out")
    second = bench.pipeline("second", "sleep 300", reads="first")
    job_id = bench.commit("data", {"/a": "1"})
    bench.wait(first, job_id)
    refused(lambda: bench.client.pps.delete_pipeline(pipeline=first), grpc.StatusCode.FAILED_PRECONDITION, second.name)
    assert bench.client.pps.pipeline_exists(first)
    bench.client.pps.delete_pipeline(pipeline=second)
    assert not bench.client.pfs.repo_exists(pfs.Repo(name=second.name))
    assert not bench.client.pps.job_exists(pps.Job(pipeline=second, id=job_id))
    bench.client.pps.delete_pipeline(pipeline=first, keep_repo=True)
    assert bench.output(first, job_id) == {"/a": "1"}
    assert not bench.client.pfs.repo_exists(pfs.Repo(name=first.name, type="spec"))
    # a plain repo now: it can be written to
    bench.commit("first", {"/b": "2"})
    bench.client.pps.delete_pipeline(pipeline=first)
    missing = lambda: bench.client.pps.delete_pipeline(pipeline=first, must_exist=True)  # noqa: E731
    refused(missing, grpc.StatusCode.NOT_FOUND, f'pipeline "default/{first.name}" not found')


def test_a_project_of_its_own(bench):
    project = pfs.Project(name=bench.name("proj"))
    bench.client.pfs.create_project(project=project)
    repo = pfs.Repo(name="data", project=project)
    bench.client.pfs.create_repo(repo=repo)
    spec = {
        "pipeline": {"name": "p", "project": {"name": project.name}},
        "input": {"pfs": {"repo": "data", "glob": "/"}},
        "transform": {"cmd": ["true"]},
    }
    bench.create(spec)
    pipeline = pps.Pipeline(name="p", project=project)
    assert bench.first_job(pipeline).state == pps.JobState.JOB_SUCCESS
    assert [i.pipeline.name for i in bench.client.pps.list_pipeline(projects=[project])] == ["p"]
    assert bench.client.pps.delete_pipelines(projects=[project]).pipelines == [pipeline]


def test_run_cron_says_there_is_none(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "true")
    call = lambda: bench.client.pps.run_cron(pipeline=pipeline)  # noqa: E731
    refused(call, grpc.StatusCode.INVALID_ARGUMENT, "pipeline doesn't have a cron input")
