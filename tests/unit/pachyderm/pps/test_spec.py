import pytest
from pachyderm_sdk.api import pps

from pdk.base.errors import InvalidArgument, Unimplemented
from pdk.pachyderm.api.spec_json import canonicalise, render
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pps.errors import InvalidSpec
from pdk.pachyderm.pps.spec import parse_request
from pdk.pachyderm.pps.types import Pipeline, SecretMount

REQUEST = Wire().descriptor(pps.CreatePipelineRequest)
MINIMAL = {"pipeline": {"name": "p"}, "input": {"pfs": {"repo": "data", "glob": "/"}}, "transform": {"cmd": ["true"]}}


def request(**changes):
    return parse_request(canonicalise({**MINIMAL, **changes}, REQUEST))


def test_defaults_are_those_of_the_original():
    parsed = request()
    spec = parsed.spec
    assert spec.pipeline == Pipeline("default", "p")
    assert spec.transform.image == "ubuntu:20.04"
    assert (spec.output_branch, spec.datum_tries, spec.parallelism) == ("master", 3, 1)
    assert not spec.reprocess_every_job
    leaf = spec.input
    assert (leaf.name, str(leaf.branch), leaf.glob) == ("data", "default/data@master", "/")


def test_the_effective_spec_shows_the_defaults_in_camel_case():
    effective = render(request(datum_timeout="60s").effective, REQUEST)
    assert effective["outputBranch"] == "master"
    assert effective["datumTimeout"] == "60s"
    assert effective["input"]["pfs"] == {
        "repo": "data", "glob": "/", "project": "default", "name": "data", "branch": "master", "repoType": "user"
    }  # fmt: skip
    assert canonicalise(effective, REQUEST)


def test_null_takes_a_default_away_and_it_comes_back():
    assert request(output_branch=None).spec.output_branch == "master"
    assert request(transform={"cmd": ["true"], "image": None}).spec.transform.image == "ubuntu:20.04"


def test_flags_and_salt_are_no_part_of_the_effective_spec():
    parsed = request(update=True, reprocess=True, dry_run=True, salt="s", spec_commit={"id": "x"})
    assert (parsed.update, parsed.reprocess, parsed.dry_run, parsed.salt) == (True, True, True, "s")
    assert not {"update", "reprocess", "dry_run", "salt", "spec_commit"} & set(parsed.effective)


def test_inputs_take_the_project_of_the_pipeline():
    parsed = request(pipeline={"name": "p", "project": {"name": "q"}})
    assert str(parsed.spec.input.branch.repo) == "q/data"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pipeline": {}}, "name must not be empty at pipeline.name"),
        (
            {"pipeline": {"name": "a b"}},
            r"name \(a b\) invalid: only alphanumeric characters, underscores, and dashes are allowed",
        ),
        ({"pipeline": {"name": "x" * 52}}, "at most 51"),
        ({"pipeline": {"name": "x" * 51, "project": {"name": "y" * 20}}}, "together are too long"),
        ({"output_branch": "a/b"}, "at output_branch"),
        ({"input": {}}, "no input set at input"),
        ({"input": None}, "no input set"),
        ({"datum_tries": -1}, "datum_tries must be at least 1"),
        ({"job_timeout": "0s"}, "job_timeout must be longer than 0s"),
        ({"reprocess_spec": "sometimes"}, 'invalid reprocess_spec "sometimes"'),
        ({"input": {"pfs": {"repo": "p", "glob": "/"}}}, "cannot read its own output repo"),
        ({"transform": {"working_dir": "a"}}, "working_dir must be an absolute path"),
        ({"transform": {"env": {"A=B": "c"}}}, "cannot be the name of an environment variable"),
        ({"transform": {"secrets": [{"key": "k"}]}}, r"must have a name at transform.secrets\[0\]"),
        ({"transform": {"secrets": [{"name": "s"}]}}, "needs either env_var"),
        ({"transform": {"secrets": [{"name": "s", "env_var": "A", "mount_path": "/a"}]}}, "needs either env_var"),
        ({"transform": {"secrets": [{"name": "s", "env_var": "A"}]}}, "needs a key for env_var A"),
        ({"transform": {"secrets": [{"name": "s", "mount_path": "/a/../b"}]}}, "must be an absolute path"),
    ],
)
def test_what_is_wrong_with_a_spec_is_said(changes, message):
    with pytest.raises(InvalidSpec, match=message):
        request(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"egress": {"URL": "s3://x"}},
        {"service": {"internal_port": 80}},
        {"spout": {"service": {}}},
        {"s3_out": True},
        {"tf_job": {"tf_job": "{}"}},
        {"transform": {"datum_batching": True}},
        {"input": {"cron": {"name": "tick", "spec": "@daily"}}},
        {"input": {"pfs": {"repo": "data", "glob": "/", "s3": True}}},
        {"input": {"pfs": {"repo": "data", "glob": "/", "trigger": {"branch": "x"}}}},
    ],
)
def test_what_pdk_does_not_have_is_never_ignored(changes):
    with pytest.raises(Unimplemented, match="not implemented by pdk"):
        request(**changes)


def test_what_only_matters_on_a_cluster_is_kept():
    parsed = request(pod_patch="[]", resource_limits={"memory": "1G"}, tolerations=[{"key": "k"}], scheduling_spec={})
    assert parsed.effective["pod_patch"] == "[]"
    assert parsed.effective["resource_limits"] == {"memory": "1G"}


def test_a_glob_that_does_not_parse_is_refused_at_once():
    with pytest.raises(InvalidArgument):
        request(input={"pfs": {"repo": "data", "glob": "/[a"}})


def test_secrets_are_read_in_both_forms():
    secrets = [{"name": "s", "key": "k", "envVar": "E"}, {"name": "t", "mountPath": "/etc/t"}]
    assert request(transform={"secrets": secrets}).spec.transform.secrets == (
        SecretMount("s", key="k", env_var="E"),
        SecretMount("t", mount_path="/etc/t"),
    )
