import io
import logging

import data
import grpc
import pytest
from data import DataError, NoDataError, PachydermSource
from pachyderm_sdk.api import pfs

FIRST = "1" * 12 + "4" + "1" * 19
SECOND = "2" * 12 + "4" + "2" * 19


class Unavailable(grpc.RpcError, grpc.Call):
    """What the SDK raises for a call that failed on the way."""

    def __init__(self, code=grpc.StatusCode.UNAVAILABLE, text="connection reset"):
        self._code, self._text = code, text

    def code(self):
        return self._code

    def details(self):
        return self._text


class Commits:
    """The part of ``Client.pfs`` that is used, over dicts of path to bytes; ``failures`` are raised first."""

    def __init__(self, commits, failures=()):
        self.commits = commits
        self.failures = list(failures)
        self.pfs = self
        self.read = []

    def _files(self, file):
        assert file.commit.repo.project.name == "churn"
        assert file.commit.repo.name == "customers"
        if self.failures:
            raise self.failures.pop(0)
        commit = file.commit.id or file.commit.branch.name
        if commit not in self.commits:
            raise Unavailable(grpc.StatusCode.NOT_FOUND, f"commit churn/customers@{commit} not found")
        return self.commits[commit]

    def _info(self, file, path):
        kind = pfs.FileType.DIR if path.endswith("/") else pfs.FileType.FILE
        return pfs.FileInfo(file=pfs.File(commit=file.commit, path=path), file_type=kind)

    def walk_file(self, *, file):
        yield from (self._info(file, path) for path in ("/", "/sub/", *self._files(file)))

    def diff_file(self, *, new_file, old_file):
        new, old = self._files(new_file), self._files(old_file)
        yield pfs.DiffFileResponse(new_file=self._info(new_file, "/"), old_file=self._info(old_file, "/"))
        for path in sorted(new.keys() | old.keys()):
            if new.get(path) != old.get(path):
                response = pfs.DiffFileResponse()
                if path in new:
                    response.new_file = self._info(new_file, path)
                if path in old:
                    response.old_file = self._info(old_file, path)
                # Over the wire an absent side arrives as an empty message, not as None.
                yield pfs.DiffFileResponse().parse(bytes(response))

    def pfs_file(self, *, file):
        self.read.append(file.path)
        return io.BytesIO(self._files(file)[file.path])


def source(previous=None, branch=SECOND):
    return PachydermSource("pachd", 30650, "churn", "customers", branch, previous)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(data, "RETRY_PAUSES", (0, 0))


@pytest.mark.seed("S2-15")
def test_of_the_first_commit_every_file_is_new(tmp_path, contract):
    client = Commits({FIRST: {"/a.csv": b"1", "/sub/b.csv": b"2"}})
    files = data.download(source(branch=FIRST), tmp_path, contract, client)
    assert {name: path.read_bytes() for name, path in files.items()} == {"/a.csv": b"1", "/sub/b.csv": b"2"}
    assert all(path.is_relative_to(tmp_path) for path in files.values())


def test_of_a_later_commit_only_what_it_added_or_changed(tmp_path, contract):
    old = {"/a.csv": b"1", "/b.csv": b"2", "/c.csv": b"3"}
    client = Commits({FIRST: old, SECOND: {"/a.csv": b"1", "/b.csv": b"two", "/d.csv": b"4"}})
    files = data.download(source(FIRST), tmp_path, contract, client)
    assert {name: path.read_bytes() for name, path in files.items()} == {"/b.csv": b"two", "/d.csv": b"4"}
    assert client.read == ["/b.csv", "/d.csv"]


def test_a_branch_can_be_named_as_well(tmp_path, contract):
    assert list(data.download(source(branch="master"), tmp_path, contract, Commits({"master": {"/a.csv": b""}}))) == [
        "/a.csv"
    ]


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ({"/a.csv": b"1"}, f"since {FIRST}, it changes nothing"),
        ({}, f"since {FIRST}, it only deletes (/a.csv)"),
        ({"/a.csv": b"1", "/readme.md": b"hello"}, "it changes only files that hold no data (/readme.md)"),
    ],
)
def test_a_commit_without_new_data_says_why(tmp_path, contract, new, reason):
    with pytest.raises(NoDataError) as error:
        data.download(source(FIRST), tmp_path, contract, Commits({FIRST: {"/a.csv": b"1"}, SECOND: new}))
    assert reason in str(error.value)
    assert f"churn/customers@{SECOND}" in str(error.value)


@pytest.mark.parametrize("path", ["/../evil.csv", "../../evil.csv", "/sub/../../evil.csv"])
def test_a_path_cannot_leave_the_folder(tmp_path, contract, path):
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match="refusing to write"):
        data.download(source(branch=FIRST), folder, contract, Commits({FIRST: {path: b"x"}}))
    assert not list(tmp_path.rglob("evil.csv"))


def test_an_absolute_path_stays_inside_the_folder(tmp_path, contract):
    files = data.download(source(branch=FIRST), tmp_path, contract, Commits({FIRST: {"//etc/x.csv": b"x"}}))
    assert files["//etc/x.csv"] == tmp_path / "etc" / "x.csv"


def test_a_server_that_is_away_is_waited_for(tmp_path, contract, caplog):
    client = Commits({FIRST: {"/a.csv": b"1"}}, [Unavailable(), ConnectionError("nobody there")])
    with caplog.at_level(logging.WARNING):
        assert list(data.download(source(branch=FIRST), tmp_path, contract, client)) == ["/a.csv"]
    assert caplog.text.count("trying again") == 2


def test_a_server_that_stays_away_is_an_error_that_names_it(tmp_path, contract):
    client = Commits({FIRST: {"/a.csv": b"1"}}, [ConnectionError("nobody there")] * 3)
    with pytest.raises(DataError, match=f"churn/customers@{FIRST} from Pachyderm at pachd:30650: nobody there"):
        data.download(source(branch=FIRST), tmp_path, contract, client)


def test_a_lost_base_commit_says_what_to_do(tmp_path, contract):
    with pytest.raises(DataError, match=r"not found.* train on all data with --no-incremental"):
        data.download(source(FIRST), tmp_path, contract, Commits({SECOND: {"/a.csv": b"1"}}))


KEYS = {"host": "h", "port": "30650", "project": "p", "repo": "r", "branch": "b", "token": None, "previous_commit": ""}


def test_the_config_names_the_source():
    assert data.source_from(KEYS, {}) == PachydermSource("h", 30650, "p", "r", "b")
    assert data.source_from({**KEYS, "previous_commit": "x"}, {}).previous_commit == "x"


def test_the_token_comes_from_the_environment_unless_the_config_has_one():
    assert data.source_from(KEYS, {"PAC_TOKEN": "two"}).token == "two"
    assert data.source_from(KEYS, {"PACH_TOKEN": "one", "PAC_TOKEN": "two"}).token == "one"
    assert data.source_from({**KEYS, "token": "three"}, {"PACH_TOKEN": "one"}).token == "three"
    assert "three" not in repr(data.source_from({**KEYS, "token": "three"}, {}))


def test_an_empty_config_says_what_is_missing(contract):
    fetched = data.fetch({"pachyderm": {"host": None}}, contract, {})
    with pytest.raises(DataError, match=r"data\.pachyderm\.\{host,port,project,repo,branch\} is empty"), fetched:
        pass


def test_local_files_are_taken_as_they_are(tmp_path, contract):
    path = tmp_path / "x.csv"
    path.write_text("")
    with data.fetch({"files": [str(path)]}, contract) as files:
        assert files == {str(path): path}
    missing = data.fetch({"files": ["/no/such.csv"]}, contract)
    with pytest.raises(DataError, match=r"names '/no/such\.csv', which is no file"), missing:
        pass


def test_what_is_downloaded_is_gone_afterwards(contract, monkeypatch):
    monkeypatch.setattr(data, "Client", lambda host, port, token: Commits({"b": {"/a.csv": b"1"}}))
    keys = {**KEYS, "project": "churn", "repo": "customers"}
    with data.fetch({"files": [], "pachyderm": keys}, contract, {}) as files:
        path = files["/a.csv"]
        assert path.read_bytes() == b"1"
    assert not path.exists()
