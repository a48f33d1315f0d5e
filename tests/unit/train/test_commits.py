import logging

import data
import grpc
import pytest
from train_job import commits as train_commits
from train_job.failure import TrainError

JOB = "a" * 12 + "4" + "a" * 19
BEFORE = "b" * 12 + "4" + "b" * 19
HEADER = b"months,plan,churn\n"
CONTRACT = """{"version": 1, "files": ["*.csv"], "extra_columns": "ignore", "unknown_categories": "reject", "columns": [
  {"name": "months", "kind": "numeric", "dtype": "int"}, {"name": "plan", "kind": "categorical", "categories": ["a"]},
  {"name": "churn", "kind": "label", "values": [0, 1]}]}"""


@pytest.fixture
def pachyderm(commits, monkeypatch):
    """The commits, to whoever makes a client."""
    client = type("Client", (), {"pfs": commits})()
    monkeypatch.setattr(data, "Client", lambda *_: client)
    return client


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "contract.json").write_text(CONTRACT)
    return folder


def test_a_job_that_a_commit_started_reads_that_commit(settings, commits, pachyderm):
    commits.commits[JOB] = (JOB, {})
    assert train_commits.data_commit(settings, pachyderm) == JOB


def test_a_job_that_an_update_started_reads_an_older_commit(settings, commits, pachyderm):
    commits.commits[JOB] = (BEFORE, {})
    assert train_commits.data_commit(settings, pachyderm) == BEFORE


def test_a_commit_that_cannot_be_read_says_where(settings, pachyderm, commits):
    class Missing(grpc.RpcError, grpc.Call):
        def code(self):
            return grpc.StatusCode.NOT_FOUND

        def details(self):
            return "repo churn/customers not found"

    def missing(*, commit):
        raise Missing

    commits.inspect_commit = missing
    with pytest.raises(TrainError, match=f"churn/customers@{JOB}: repo churn/customers not found") as error:
        train_commits.data_commit(settings, pachyderm)
    assert error.value.where == "Pachyderm at pachd:30650"


def test_good_data_is_counted(settings, commits, pachyderm, code):
    commits.commits[JOB] = (JOB, {"/a.csv": HEADER + b"1,a,0\n", "/b.csv": HEADER + b"2,a,1\n3,a,1\n"})
    assert train_commits.validate(settings, code, None) == train_commits.DataSummary(("/a.csv", "/b.csv"), 3)


def test_only_what_has_changed_is_checked(settings, commits, pachyderm, code):
    commits.commits[BEFORE] = (BEFORE, {"/a.csv": b"rubbish"})
    commits.commits[JOB] = (JOB, {"/a.csv": b"rubbish", "/b.csv": HEADER + b"2,a,1\n"})
    assert train_commits.validate(settings, code, BEFORE).files == ("/b.csv",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x00\x01binary", "/b.csv: is not CSV but binary: it holds NUL bytes"),
        (b"months,churn\n1,0\n", "/b.csv, column 'plan': the header lacks this column"),
        (HEADER + b"many,a,0\n", "/b.csv, row 1, column 'months': expected a number, got 'many'"),
        (HEADER + b"1,a,2\n", "/b.csv, row 1, column 'churn': the label must be one of 0, 1, got '2'"),
        (HEADER, "/b.csv: has a header but no rows"),
        (b"months,plan,churn,churn\n1,a,0,0\n", "/b.csv, column 'churn': the header names this column 2 times"),
        (HEADER + b"1,a,nan\n", "/b.csv, row 1, column 'churn': has no value"),
    ],
)
def test_data_that_breaks_the_contract_is_named_and_what_to_do(settings, commits, pachyderm, code, content, expected):
    commits.commits[BEFORE] = (BEFORE, {"/a.csv": HEADER + b"1,a,0\n"})
    commits.commits[JOB] = (JOB, {"/a.csv": HEADER + b"1,a,0\n", "/b.csv": content})
    with pytest.raises(TrainError) as error:
        train_commits.validate(settings, code, BEFORE)
    assert error.value.what == f"the data breaks its contract: {expected}"
    assert error.value.where == f"churn/customers@{JOB}, compared with {BEFORE}"
    assert "put file customers@master:<path>" in error.value.remedy


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"/a.csv": HEADER}, "it changes nothing"),
        ({}, "it only deletes (/a.csv)"),
        ({"/a.csv": HEADER, "/notes.txt": b""}, "only files that hold no data (/notes.txt)"),
    ],
)
def test_a_commit_without_new_data_aborts(settings, commits, pachyderm, code, files, reason):
    commits.commits[BEFORE] = (BEFORE, {"/a.csv": HEADER})
    commits.commits[JOB] = (JOB, files)
    with pytest.raises(TrainError, match=r"No data\. Aborting training\.") as error:
        train_commits.validate(settings, code, BEFORE)
    assert reason in error.value.what
    assert "goes on serving" in error.value.remedy


def test_a_commit_that_is_gone_is_an_error_of_the_data(settings, commits, pachyderm, code):
    def gone(**_):
        raise ValueError(f"commit churn/customers@{BEFORE} not found")

    commits.diff_file = gone
    with pytest.raises(TrainError, match="--no-incremental"):
        train_commits.validate(settings, code, BEFORE)


def test_a_broken_contract_is_named(settings, commits, pachyderm, code):
    (code / "contract.json").write_text("{}")
    with pytest.raises(TrainError, match=r"contract\.json: the contract must be an object"):
        train_commits.validate(settings, code, None)


def test_an_experiment_without_a_contract_is_trained_unchecked(settings, tmp_path, caplog):
    assert train_commits.validate(settings, tmp_path, None) is None
    with caplog.at_level(logging.WARNING):
        train_commits.validate(settings, tmp_path, None)
    assert "the data is not checked" in caplog.text
