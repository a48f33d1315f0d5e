import datetime
from pathlib import Path

from pdk.pachyderm.pps import environment
from pdk.pachyderm.pps.datum_values import make_datum
from pdk.pachyderm.pps.scratch import Scratch
from pdk.pachyderm.pps.settings import Address, PpsSettings
from pdk.pachyderm.pps.types import DatumInput, Job, Pipeline, PipelineInfo
from pdk.pachyderm.values import Commit, JobState, PipelineState, Repo

PIPELINE = Pipeline("q", "train")


def datum_input(name, path, **options):
    return DatumInput(name, Commit(Repo("q", name), "c1"), "master", path, b"h", 1, **options)


def info():
    moment = datetime.datetime.now(datetime.UTC)
    return PipelineInfo(
        PIPELINE, 3, Commit(PIPELINE.spec_repo, "spec1"), moment, moment, False, PipelineState.PIPELINE_RUNNING, "",
        JobState.JOB_STATE_UNKNOWN, 1, "salt", "{}", {},
    )  # fmt: skip


def test_a_job_knows_where_pachd_is_and_what_it_is():
    env = environment.job_environment(info(), Job(PIPELINE, "j1"), Address("127.0.0.1", 30650))
    assert env["PACHD_PEER_SERVICE_HOST"] == env["PACHD_SERVICE_HOST"] == "127.0.0.1"
    assert env["PACHD_PEER_SERVICE_PORT"] == env["PACHD_SERVICE_PORT"] == "30650"
    assert (env["PACH_JOB_ID"], env["PACH_OUTPUT_COMMIT_ID"]) == ("j1", "j1")
    assert (env["PPS_PIPELINE_NAME"], env["PPS_PROJECT_NAME"], env["PPS_SPEC_COMMIT"]) == ("train", "q", "spec1")


def test_a_datum_knows_its_inputs():
    datum = make_datum(
        [datum_input("a", "/", join_on="k"), datum_input("b", "/x/y.csv", group_by="g"), datum_input("c", "/dir/")], ""
    )
    env = environment.datum_environment(datum, "/pfs")
    assert (env["a"], env["b"], env["c"]) == ("/pfs/a", "/pfs/b/x/y.csv", "/pfs/c/dir")
    assert env["a_COMMIT"] == "c1"
    assert (env["PACH_DATUM_a_JOIN_ON"], env["PACH_DATUM_b_GROUP_BY"]) == ("k", "g")
    assert env["PACH_DATUM_ID"] == datum.id


def test_the_base_is_small_and_says_where_pfs_is():
    settings = PpsSettings(Path("/data"), "marker/", path="/bin", threads=2)
    assert environment.base_environment(Scratch(Path("/scratch"), mounted=True), settings) == {
        "PATH": "/bin", "HOME": "/scratch/home", "TMPDIR": "/scratch/tmp", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "2",
        "PFS_ROOT": "/pfs",
    }  # fmt: skip
