"""Jobs through the official client: what runs, what is skipped, what fails and why."""

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps
from waiting import wait_until

State = pps.JobState


def test_a_new_pipeline_has_a_job_without_datums_at_once(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "true")
    info = bench.first_job(pipeline)
    assert (info.state, info.data_total, info.reason) == (State.JOB_SUCCESS, 0, "")
    assert bench.output(pipeline, info.job.id) == {}


def test_two_pipelines_pass_data_on(bench):
    bench.repo("data")
    upper = bench.pipeline("upper", "for f in /pfs/data/*; do tr a-z A-Z < $f > /pfs/out/$(basename $f); done")
    count = bench.pipeline("count", "cat /pfs/upper/* | wc -c > /pfs/out/size", reads="upper", glob="/")
    job_id = bench.commit("data", {"/a": "one", "/b": "two!"})
    assert bench.wait(count, job_id).state == State.JOB_SUCCESS
    assert bench.output(upper, job_id) == {"/a": "ONE", "/b": "TWO!"}
    assert bench.output(count, job_id)["/size"].strip() == "7"
    info = bench.wait(upper, job_id)
    assert (info.data_total, info.data_processed) == (2, 2)
    assert info.details.input.pfs.commit == job_id
    assert info.output_commit.branch.name == "master"
    assert info.created <= info.started <= info.finished


def test_the_environment_names_the_job(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "env > /pfs/out/env", glob="/")
    job_id = bench.commit("data", {"/a": "1"})
    bench.wait(pipeline, job_id)
    env = dict(line.split("=", 1) for line in bench.output(pipeline, job_id)["/env"].splitlines())
    assert env["PACH_JOB_ID"] == job_id
    assert env["data"] == "/pfs/data"
    assert env["data_COMMIT"] == job_id
    assert env["PPS_PIPELINE_NAME"] == pipeline.name


@pytest.mark.ours  # a real cluster gives an address of its own network
def test_the_environment_names_the_server(bench, pachd):
    bench.repo("data")
    pipeline = bench.pipeline("p", "echo $PACHD_PEER_SERVICE_HOST:$PACHD_PEER_SERVICE_PORT > /pfs/out/at", glob="/")
    job_id = bench.commit("data", {"/a": "1"})
    bench.wait(pipeline, job_id)
    assert bench.output(pipeline, job_id)["/at"] == f"127.0.0.1:{pachd.port}\n"


def test_a_failed_datum_fails_the_job_with_the_cause_and_the_chain_below(bench):
    bench.repo("data")
    first = bench.pipeline(
        "first", "if grep -q bad /pfs/data/*; then echo 'column x is missing' >&2; exit 7; fi",
        "cp /pfs/data/* /pfs/out", glob="/", datum_tries=1,
    )  # fmt: skip
    second = bench.pipeline("second", "cp /pfs/first/* /pfs/out", reads="first", glob="/")
    third = bench.pipeline("third", "cp /pfs/second/* /pfs/out", reads="second", glob="/")
    good = bench.commit("data", {"/a": "good"})
    assert bench.wait(third, good).state == State.JOB_SUCCESS
    bad = bench.commit("data", {"/b": "bad"})
    info = bench.wait(first, bad)
    (datum,) = bench.client.pps.list_datum(job=info.job)
    assert info.state == State.JOB_FAILURE
    assert info.reason.startswith(f"datum {datum.datum.id} failed: exit status 7: column x is missing")
    assert f"pdk logs -j {first.name}@{bad}" in info.reason
    assert datum.state == pps.DatumState.FAILED
    for pipeline, upstream in ((second, "first"), (third, "second")):
        info = bench.wait(pipeline, bad)
        assert info.state == State.JOB_UNRUNNABLE
        assert info.reason.startswith(f"unrunnable because the following upstream pipelines failed: {upstream}")
        assert "column x is missing" in info.reason
    commit = pfs.Commit(repo=pfs.Repo(name=first.name), id=bad)
    assert "column x is missing" in bench.client.pfs.inspect_commit(commit=commit).error
    # the next commit that is good builds on the last good one
    again = bench.commit("data", {"/c": "good too"}, delete=["/b"])
    assert bench.wait(third, again).state == State.JOB_SUCCESS
    assert bench.output(third, again) == {"/a": "good", "/c": "good too"}


def test_only_what_is_new_is_processed_and_what_is_gone_goes(bench):
    bench.repo("data")
    pipeline = bench.pipeline(
        "p", "for f in /pfs/data/*; do cp $f /pfs/out/; date +%s%N > /pfs/out/when-$(basename $f); done"
    )
    first = bench.commit("data", {"/a": "1", "/b": "2"})
    assert bench.wait(pipeline, first).data_processed == 2
    second = bench.commit("data", {"/b": "changed", "/c": "3"})
    info = bench.wait(pipeline, second)
    assert (info.data_total, info.data_processed, info.data_skipped) == (3, 2, 1)
    before, after = bench.output(pipeline, first), bench.output(pipeline, second)
    assert after["/when-a"] == before["/when-a"]
    assert after["/when-b"] != before["/when-b"]
    assert {after["/a"], after["/b"], after["/c"]} == {"1", "changed", "3"}
    states = {info.data[0].file.path: info.state for info in bench.client.pps.list_datum(job=info.job)}
    assert states == {"/a": pps.DatumState.SKIPPED, "/b": pps.DatumState.SUCCESS, "/c": pps.DatumState.SUCCESS}
    # a commit that only deletes runs nothing and takes the output away
    third = bench.commit("data", delete=["/a", "/b"])
    info = bench.wait(pipeline, third)
    assert (info.state, info.data_total, info.data_skipped) == (State.JOB_SUCCESS, 1, 1)
    assert sorted(bench.output(pipeline, third)) == ["/c", "/when-c"]
    # an empty commit changes nothing
    fourth = bench.commit("data")
    info = bench.wait(pipeline, fourth)
    assert (info.state, info.data_processed, info.data_skipped) == (State.JOB_SUCCESS, 0, 1)
    assert bench.output(pipeline, fourth) == bench.output(pipeline, third)


def test_deleting_everything_leaves_an_empty_output(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "cp /pfs/data/* /pfs/out", glob="/")
    bench.wait(pipeline, bench.commit("data", {"/a": "1"}))
    job_id = bench.commit("data", delete=["/a"])
    info = bench.wait(pipeline, job_id)
    assert (info.state, info.data_total) == (State.JOB_SUCCESS, 0)
    assert bench.output(pipeline, job_id) == {}


def test_a_datum_that_failed_runs_again_in_the_next_job(bench):
    bench.repo("data")
    bench.repo("switch")
    script = ["test -e /pfs/switch/on || exit 1", "cp /pfs/data/* /pfs/out"]
    spec = bench.spec("p", *script, datum_tries=1)
    switch = {"pfs": {"repo": bench.name("switch"), "name": "switch", "glob": "/", "reference": True}}
    spec["input"] = {"cross": [spec["input"], switch]}
    bench.create(spec)
    pipeline = pps.Pipeline(name=bench.name("p"))
    bench.commit("switch", {"/off": ""})
    failed = bench.wait(pipeline, bench.commit("data", {"/a": "1"}))
    assert failed.state == State.JOB_FAILURE
    job_id = bench.commit("switch", {"/on": ""})
    info = bench.wait(pipeline, job_id)
    assert (info.state, info.data_processed) == (State.JOB_SUCCESS, 1)
    assert bench.output(pipeline, job_id) == {"/a": "1"}


def test_the_same_path_from_two_datums_fails_the_job(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "cp /pfs/data/* /pfs/out/same")
    info = bench.wait(pipeline, bench.commit("data", {"/a": "1", "/b": "2"}))
    assert info.state == State.JOB_FAILURE
    assert "duplicate path output by different datums" in info.reason


def test_output_pfs_cannot_hold_fails_the_datum(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "ln -s /etc/passwd /pfs/out/evil", datum_tries=1)
    info = bench.wait(pipeline, bench.commit("data", {"/a": "1"}))
    assert info.state == State.JOB_FAILURE
    assert "/pfs/out/evil is a link to /etc/passwd, outside /pfs" in info.reason
    other = bench.pipeline("q", "touch '/pfs/out/a*b'", datum_tries=1)
    info = bench.first_job(other)
    assert "globbing character" in info.reason


def test_names_no_commit_can_hold_fail_the_datum_and_say_so(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", r"printf x > $(printf '/pfs/out/a\377b')", datum_tries=1)
    info = bench.wait(pipeline, bench.commit("data", {"/a": "1"}))
    assert info.state == State.JOB_FAILURE
    assert "only printable ASCII characters allowed" in info.reason


def test_links_to_inputs_are_stored_as_copies(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "ln -s /pfs/data/dir /pfs/out/linked", glob="/")
    job_id = bench.commit("data", {"/dir/a": "1", "/dir/b": "2"})
    assert bench.wait(pipeline, job_id).state == State.JOB_SUCCESS
    assert bench.output(pipeline, job_id) == {"/linked/a": "1", "/linked/b": "2"}


def test_a_datum_is_tried_again_and_can_be_recovered(bench):
    bench.repo("data")
    pipeline = bench.pipeline(
        "p", "echo trying", "test $(basename /pfs/data/*) = good", "cp /pfs/data/* /pfs/out",
        transform={"err_cmd": ["true"]}, datum_tries=2,
    )  # fmt: skip
    job_id = bench.commit("data", {"/bad": "", "/good": "x"})
    info = bench.wait(pipeline, job_id)
    assert (info.state, info.data_recovered, info.data_processed) == (State.JOB_SUCCESS, 1, 1)
    assert bench.output(pipeline, job_id) == {"/good": "x"}
    lines = [message.message for message in bench.logs(pipeline, job_id) if message.user]
    assert lines.count("trying") == 3


def test_datums_run_side_by_side_when_asked_to(bench):
    bench.repo("data")
    script = "n=$(basename /pfs/data/*); date +%s%N > /pfs/out/begin-$n; sleep 0.6; date +%s%N > /pfs/out/end-$n"
    pipeline = bench.pipeline("p", script, parallelism_spec={"constant": 2})
    job_id = bench.commit("data", {"/a": "", "/b": ""})
    assert bench.wait(pipeline, job_id).data_processed == 2
    times = {path: int(text) for path, text in bench.output(pipeline, job_id).items()}
    assert max(times["/begin-a"], times["/begin-b"]) < min(times["/end-a"], times["/end-b"])


def test_pipelines_run_side_by_side_but_jobs_of_one_in_order(bench):
    bench.repo("data")
    script = ["date +%s%N > /pfs/out/begin", "sleep 0.5", "date +%s%N > /pfs/out/end"]
    pipelines = [bench.pipeline(name, *script, glob="/") for name in ("p", "q")]
    ids = [bench.commit("data", {"/a": str(number)}) for number in range(2)]
    times = {}
    for pipeline in pipelines:
        for job_id in ids:
            info = bench.wait(pipeline, job_id)
            assert info.state == State.JOB_SUCCESS, info.reason
            output = bench.output(pipeline, job_id)
            times[pipeline.name, job_id] = int(output["/begin"]), int(output["/end"])
    p, q = (pipeline.name for pipeline in pipelines)
    assert times[p, ids[0]][1] < times[p, ids[1]][0]
    assert max(times[p, ids[0]][0], times[q, ids[0]][0]) < min(times[p, ids[0]][1], times[q, ids[0]][1])


def test_a_union_and_a_cross_make_their_datums(bench):
    for name in ("a", "b"):
        bench.repo(name)
        bench.commit(name, {"/1": name, "/2": name})
    sides = [{"pfs": {"repo": bench.name(name), "name": name, "glob": "/*"}} for name in ("a", "b")]
    spec = bench.spec("cross", "cat $a $b > /pfs/out/$(basename $a)-$(basename $b)")
    bench.create({**spec, "input": {"cross": sides}})
    union = bench.spec("union", 'cat "${a:-$b}" > /pfs/out/$(basename $(dirname ${a:-$b}))-$(basename ${a:-$b})')
    bench.create({**union, "input": {"union": sides}})
    crossed, united = (pps.Pipeline(name=bench.name(name)) for name in ("cross", "union"))
    job = bench.first_job(crossed)
    assert bench.output(crossed, job.job.id) == {f"/{i}-{j}": "ab" for i in (1, 2) for j in (1, 2)}
    job = bench.first_job(united)
    assert bench.output(united, job.job.id) == {f"/{n}-{i}": n for n in ("a", "b") for i in (1, 2)}


def test_stop_job_kills_user_code_and_says_so(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "echo begun", "sleep 300", glob="/")
    job = pps.Job(pipeline=pipeline, id=bench.commit("data", {"/a": "1"}))
    assert next(m for m in bench.logs(pipeline, job.id, follow=True) if m.user).message == "begun"
    running = bench.client.pps.inspect_job(job=job, details=True)
    assert running.state == State.JOB_RUNNING
    assert running.details.worker_status[0].datum_status.data[0].path == "/"
    bench.client.pps.stop_job(job=job)
    info = bench.wait(pipeline, job.id)
    assert (info.state, info.reason) == (State.JOB_KILLED, "job stopped")
    # once more is no error, and the next commit has its own job
    bench.client.pps.stop_job(job=job)
    assert bench.wait(pipeline, job.id).reason == "job stopped"
    bench.client.pps.stop_job(job=pps.Job(pipeline=pipeline, id=bench.commit("data", {"/a": "2"})), reason="enough")
    assert next(iter(bench.client.pps.list_job(pipeline=pipeline))).reason == "enough"


def test_a_job_has_a_time_limit(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "sleep 300", job_timeout="0.4s")
    info = bench.wait(pipeline, bench.commit("data", {"/a": "1"}))
    assert info.state == State.JOB_KILLED
    assert "jobtimed out" in info.reason


def test_a_deleted_job_is_gone_and_its_output_stays(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "cp /pfs/data/* /pfs/out")
    job = pps.Job(pipeline=pipeline, id=bench.commit("data", {"/a": "1"}))
    bench.wait(pipeline, job.id)
    bench.client.pps.delete_job(job=job)
    assert not bench.client.pps.job_exists(job)
    assert bench.output(pipeline, job.id) == {"/a": "1"}
    # the next job still knows what was processed
    info = bench.wait(pipeline, bench.commit("data", {"/b": "2"}))
    assert (info.data_processed, info.data_skipped) == (1, 1)


def test_dropping_a_commit_set_takes_its_jobs(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "cp /pfs/data/* /pfs/out")
    job = pps.Job(pipeline=pipeline, id=bench.commit("data", {"/a": "1"}))
    bench.wait(pipeline, job.id)
    bench.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=job.id))
    wait_until(lambda: not bench.client.pps.job_exists(job))


def test_dropping_a_commit_set_ends_the_job_that_writes_to_it(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "echo begun", "sleep 300")
    job = pps.Job(pipeline=pipeline, id=bench.commit("data", {"/a": "1"}))
    next(m for m in bench.logs(pipeline, job.id, follow=True) if m.user)
    bench.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=job.id))
    after = bench.commit("data", {"/b": "1"})
    wait_until(lambda: not bench.client.pps.job_exists(job))
    bench.client.pps.stop_job(job=pps.Job(pipeline=pipeline, id=after))


def test_lists_of_jobs(bench):
    bench.repo("data")
    p = bench.pipeline("p", "true")
    q = bench.pipeline("q", "exit 1", datum_tries=1)
    ids = [bench.commit("data", {f"/{number}": "x"}) for number in range(2)]
    for pipeline in (p, q):
        bench.wait(pipeline, ids[1])
    listed = list(bench.client.pps.list_job(pipeline=p))
    assert [info.job.id for info in listed][:2] == ids[::-1]
    assert all(info.details.input.pfs.commit == "" for info in listed)
    assert len(list(bench.client.pps.list_job(pipeline=p, number=1))) == 1
    assert [info.job.id for info in bench.client.pps.list_job(pipeline=p, reverse=True)][-1] == ids[1]
    commit = pfs.Commit(repo=pfs.Repo(name=bench.name("data")), id=ids[0])
    reading = bench.client.pps.list_job(pipeline=p, input_commit=[commit])
    assert [info.job.id for info in reading] == [ids[0]]
    failed = bench.client.pps.list_job(pipeline=q, jq_filter='.state == "JOB_FAILURE" or .state == "JOB_KILLED"')
    assert {info.job.id for info in failed} == set(ids)
    assert len(list(bench.client.pps.list_job(pipeline=q, jq_filter='.state == "JOB_SUCCESS"'))) == 1
    with pytest.raises(grpc.RpcError) as caught:
        list(bench.client.pps.list_job(pipeline=q, jq_filter=".job.id"))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    job_set = list(bench.client.pps.inspect_job_set(job_set=pps.JobSet(id=ids[1]), wait=True))
    assert {info.job.pipeline.name: info.state for info in job_set} == {
        p.name: State.JOB_SUCCESS, q.name: State.JOB_FAILURE
    }  # fmt: skip
    sets = {info.job_set.id: len(info.jobs) for info in bench.client.pps.list_job_set()}
    assert sets[ids[0]] == 2
    assert list(bench.client.pps.inspect_job_set(job_set=pps.JobSet(id="0" * 12 + "4" + "0" * 19))) == []


def test_subscribe_job_follows_new_jobs(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "true")
    bench.first_job(pipeline)
    stream = bench.client.pps.subscribe_job(pipeline=pipeline)
    job_id = bench.commit("data", {"/a": "1"})
    states = []
    for info in stream:
        assert info.job.id == job_id
        states.append(info.state)
        if info.state == State.JOB_SUCCESS:
            break
    assert states == sorted(states, key=[1, 2, 3, 8, 5].index)


def test_datums_can_be_inspected_and_previewed(bench):
    bench.repo("data")
    pipeline = bench.pipeline("p", "cp /pfs/data/* /pfs/out", transform={"image": "mapped:1"})
    job = pps.Job(pipeline=pipeline, id=bench.commit("data", {"/a": "1", "/b": "22"}))
    bench.wait(pipeline, job.id)
    found = {info.data[0].file.path: info for info in bench.client.pps.list_datum(job=job)}
    assert set(found) == {"/a", "/b"}
    info = bench.client.pps.inspect_datum(datum=pps.Datum(job=job, id=found["/b"].datum.id))
    assert (info.state, info.image_id) == (pps.DatumState.SUCCESS, "mapped:1")
    assert info.stats.download_bytes == info.stats.upload_bytes == 2
    assert info.data[0].size_bytes == 2
    only = bench.client.pps.list_datum(job=job, filter=pps.ListDatumRequestFilter(state=[pps.DatumState.FAILED]))
    assert list(only) == []
    source = pps.Input(pfs=pps.PfsInput(repo=bench.name("data"), glob="/*"))
    assert {info.data[0].file.path for info in bench.client.pps.list_datum(input=source)} == {"/a", "/b"}
    batches = bench.client.pps.generate_datums(source, 1)
    assert [len(next(batches)), len(next(batches))] == [1, 1]
    with pytest.raises(grpc.RpcError) as caught:
        bench.client.pps.inspect_datum(datum=pps.Datum(job=job, id="nope"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_running_datum_can_be_restarted(bench):
    bench.repo("data")
    bench.repo("switch")
    pipeline = bench.pipeline(
        "p", "echo begun", "if [ $(cat /pfs/data/a) = slow ]; then sleep 2; fi", glob="/", datum_tries=1
    )
    job = pps.Job(pipeline=pipeline, id=bench.commit("data", {"/a": "slow"}))
    begun = (m for m in bench.logs(pipeline, job.id, follow=True) if m.user)
    next(begun)
    bench.client.pps.restart_datum(job=job, data_filters=["/"])
    assert next(begun).message == "begun"
    assert bench.wait(pipeline, job.id).state == State.JOB_SUCCESS
    with pytest.raises(grpc.RpcError, match="could not be found for job ID"):
        bench.client.pps.restart_datum(job=job, data_filters=["/"])
