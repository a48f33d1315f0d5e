"""Files through pachyderm_sdk: put, append, delete, copy, get, tar, inspect, list, walk, glob, diff."""

import http.server
import io
import random
import threading

import grpc
import pytest
from pachyderm_sdk.api import pfs
from targets import own

MASTER = pfs.Commit.from_uri(own("data@master"))


@pytest.fixture(autouse=True)
def repo(client):
    repo = pfs.Repo.from_uri(own("data"))
    client.pfs.create_repo(repo=repo)
    return repo


@pytest.fixture
def put(client):
    def put(files, commit=MASTER, append=False):
        for path, data in files.items():
            client.pfs.put_file_from_bytes(commit=commit, path=path, data=data, append=append)

    return put


def get(client, path, commit=MASTER):
    with client.pfs.pfs_file(pfs.File(commit=commit, path=path)) as file:
        return file.read()


def opening_error(client, path):
    """What the server said when the SDK could not open a file for reading (it raises ValueError for every reason)."""
    with pytest.raises(ValueError, match="PFSFile") as caught:
        client.pfs.pfs_file(pfs.File(commit=MASTER, path=path))
    return caught.value.__cause__.details()


def error_of(call, *args, **kwargs):
    with pytest.raises(grpc.RpcError) as caught:
        list(call(*args, **kwargs))
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("size", [0, 1, 700_000, 25 << 20])
def test_put_and_get(client, put, size):
    data = random.Random(size).randbytes(size)
    put({"/f": data})
    assert get(client, "/f") == data


def test_put_replaces_append_adds(client, put):
    put({"/f": b"1"})
    put({"/f": b"2"})
    assert get(client, "/f") == b"2"
    put({"/f": b"3"}, append=True)
    assert get(client, "f") == b"23"


def test_put_file_from_a_file_and_a_folder(client, tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "x").write_bytes(b"x")
    (tmp_path / "d" / "e" / "y").write_bytes(b"y")
    client.pfs.put_file_from_file(commit=MASTER, path="/one", file=io.BytesIO(b"from a file"))
    client.pfs.create_branch(branch=pfs.Branch.from_uri(own("data@dev")))
    with client.pfs.commit(branch=pfs.Branch.from_uri(own("data@dev"))) as commit:
        client.pfs.put_files(commit=commit, source=tmp_path / "d", path="/all")
    assert get(client, "/one") == b"from a file"
    assert get(client, "/all/e/y", commit) == b"y"


def test_writes_of_an_open_commit_are_seen_at_once_and_survive(client, put):
    commit = client.pfs.start_commit(branch=pfs.Branch.from_uri(own("data@master")))
    put({"/a": b"1"}, commit)
    put({"/b": b"2"}, commit)
    assert get(client, "/a", commit) == b"1"
    assert get(client, "/b") == b"2", "the branch means its open head"
    client.pfs.finish_commit(commit=commit)
    code, text = error_of(client.pfs.modify_file, iter([pfs.ModifyFileRequest(set_commit=commit)]))
    assert (code, text) == (grpc.StatusCode.UNKNOWN, f"commit default/{own('data')}@{commit.id} has already finished")


def test_one_stream_for_several_files_as_pachctl_does(client):
    def requests():
        yield pfs.ModifyFileRequest(set_commit=pfs.Commit(branch=pfs.Branch.from_uri(own("data@master"))))
        for name in ("a", "b"):
            yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=f"/{name}"))
            for piece in (b"one ", b"two"):
                yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{name}", raw=piece))
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/empty"))

    client.pfs.modify_file(requests())
    assert get(client, "/a") == get(client, "/b") == b"one two"
    assert get(client, "/empty") == b""
    assert len(list(client.pfs.list_commit(repo=pfs.Repo.from_uri(own("data"))))) == 1


def test_a_stream_that_breaks_off_changes_nothing(client, repo):
    def requests():
        yield pfs.ModifyFileRequest(set_commit=MASTER)
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"half"))
        raise RuntimeError("the client dies")

    with pytest.raises((grpc.RpcError, RuntimeError)):
        client.pfs.modify_file(requests())
    assert list(client.pfs.list_commit(repo=repo)) == []


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([], "first message must be a commit"),
        ([pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/a"))], "first message must be a commit"),
        ([pfs.ModifyFileRequest(set_commit=MASTER)] * 2, "cannot set commit"),
        (
            [pfs.ModifyFileRequest(set_commit=MASTER), pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a*"))],
            "path (/a*) invalid: globbing character (*) not allowed in path",
        ),
    ],
)
def test_malformed_streams(client, messages, text):
    assert error_of(client.pfs.modify_file, iter(messages)) == (grpc.StatusCode.INVALID_ARGUMENT, text)


def test_missing_things(client, put):
    put({"/d/f": b"1"})
    head = client.pfs.inspect_branch(branch=pfs.Branch.from_uri(own("data@master"))).head
    code, text = error_of(client.pfs.inspect_file, file=pfs.File(commit=MASTER, path="/nope"))
    assert (code, text) == (
        grpc.StatusCode.NOT_FOUND,
        f"file /nope not found in repo default/{own('data')} at commit {head.id}",
    )
    assert client.pfs.path_exists(pfs.File(commit=MASTER, path="/d/f"))
    assert not client.pfs.path_exists(pfs.File(commit=MASTER, path="/nope"))
    with pytest.raises(ValueError, match="commit does not exist"):
        client.pfs.path_exists(pfs.File.from_uri(own("data@nope:/f")))
    assert "not found" in opening_error(client, "/nope")
    assert "Use GetFileTAR instead" in opening_error(client, "/d")
    assert error_of(client.pfs.walk_file, file=pfs.File(commit=MASTER, path="/no"))[0] is grpc.StatusCode.NOT_FOUND
    code, text = error_of(client.pfs.inspect_file)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith("validate request: ")


def test_get_by_pattern_and_offset(client, put):
    put({"/d/one.csv": b"0123456789", "/d/two.txt": b"t"})
    assert get(client, "/d/*.csv") == b"0123456789"
    pieces = client.pfs.get_file(file=pfs.File(commit=MASTER, path="/d/one.csv"), offset=4)
    assert b"".join(piece.value for piece in pieces) == b"456789"
    assert "matched multiple files. Use GetFileTAR instead" in opening_error(client, "/d/*")


def test_the_file_the_server_sent_back_is_readable(client, put):
    put({"/d/f": b"1"})
    [info] = [
        info for info in client.pfs.walk_file(file=pfs.File(commit=MASTER)) if info.file_type == pfs.FileType.FILE
    ]
    assert (info.file.path, info.file.datum, info.size_bytes) == ("/d/f", "default", 1)
    assert info.committed is not None
    with client.pfs.pfs_file(info.file) as file:
        assert file.read() == b"1"


def test_tar(client, put, tmp_path):
    put({"/a/x": b"1", "/a/y/z": b"22", "/b": b""})
    with client.pfs.pfs_tar_file(pfs.File(commit=MASTER, path="/a")) as tar:
        tar.extractall(path=tmp_path)
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path: data for path, data in found.items() if path.startswith("a/")} == {"a/x": b"1", "a/y/z": b"22"}
    assert "b" not in found
    code, _ = error_of(client.pfs.get_file_tar, file=pfs.File(commit=MASTER, path="/nope"))
    assert code is grpc.StatusCode.NOT_FOUND


def paths(infos):
    return [info.file.path for info in infos]


def test_list_walk_glob(client, put):
    put({"/a.txt": b"1", "/a/x": b"2", "/a/y/z": b"3"})
    root, folder = pfs.File(commit=MASTER, path="/"), pfs.File(commit=MASTER, path="/a/")
    assert paths(client.pfs.list_file(file=root)) == ["/a.txt", "/a/"]
    assert paths(client.pfs.list_file(file=folder)) == ["/a/x", "/a/y/"]
    assert paths(client.pfs.list_file(file=root, number=1)) == ["/a.txt"]
    marker = pfs.File(commit=MASTER, path="/a.txt")
    assert paths(client.pfs.list_file(file=root, pagination_marker=marker)) == ["/a/"]
    assert paths(client.pfs.list_file(file=root, number=1, reverse=True)) == ["/a/"]
    assert paths(client.pfs.list_file(file=pfs.File(commit=MASTER, path="/nope"))) == []
    assert paths(client.pfs.walk_file(file=root)) == ["/", "/a.txt", "/a/", "/a/x", "/a/y/", "/a/y/z"]
    assert paths(client.pfs.walk_file(file=root, pagination_marker=marker, number=2)) == ["/a/", "/a/x"]
    assert paths(client.pfs.glob_file(commit=MASTER, pattern="/*")) == ["/a.txt", "/a/"]
    assert paths(client.pfs.glob_file(commit=MASTER, pattern="**z")) == ["/a/y/z"]
    in_range = pfs.PathRange(lower="/a/x", upper="/a/y/z")
    assert paths(client.pfs.glob_file(commit=MASTER, pattern="/**", path_range=in_range)) == ["/a/x", "/a/y/"]
    assert error_of(client.pfs.glob_file, commit=MASTER, pattern="/(")[0] is grpc.StatusCode.INVALID_ARGUMENT
    types = {info.file.path: info.file_type for info in client.pfs.list_file(file=root)}
    assert types == {"/a.txt": pfs.FileType.FILE, "/a/": pfs.FileType.DIR}


def test_delete_and_copy(client, put):
    put({"/a/x": b"1", "/a/y": b"2", "/b": b"3"})
    with client.pfs.commit(branch=pfs.Branch.from_uri(own("data@master"))) as commit:
        commit.delete_file(path="/b")
        commit.copy_file(src=pfs.File.from_uri(own("data@master^:/a")), dst="/c")
        commit.delete_file(path="/a/")
        commit.copy_file(src=pfs.File(commit=commit, path="/c/x"), dst="/c/y", append=True)
    found = {
        path: get(client, path) for path in paths(client.pfs.walk_file(file=pfs.File(commit=MASTER))) if path[-1] != "/"
    }
    assert found == {"/c/x": b"1", "/c/y": b"21"}


def test_diff_between_jobs_as_the_examples_do(client, put):
    """`input@<job id>` means the input commit of that job; the first job has no previous one."""
    output, master = pfs.Repo.from_uri(own("model")), pfs.Branch.from_uri(own("data@master"))
    put({"/part1.csv": b"1"})
    client.pfs.create_repo(repo=output)
    client.pfs.create_branch(branch=pfs.Branch(repo=output, name="master"), provenance=[master])
    jobs = [client.pfs.inspect_commit(commit=pfs.Commit.from_uri(own("model@master"))).commit.id]
    put({"/part2.csv": b"2"})
    jobs.append(client.pfs.inspect_commit(commit=pfs.Commit.from_uri(own("model@master"))).commit.id)
    new, old = (pfs.File(commit=pfs.Commit.from_uri(own(f"data@{job}")), path="/") for job in reversed(jobs))
    diffs = list(client.pfs.diff_file(new_file=new, old_file=old))
    assert [(diff.new_file.file.path, diff.old_file.file.path if diff.old_file else "") for diff in diffs] == [
        ("/", "/"),
        ("/part2.csv", ""),
    ]
    assert diffs[1].old_file is None or diffs[1].old_file.file_type == pfs.FileType.RESERVED
    first = list(client.pfs.diff_file(new_file=old))
    assert [diff.new_file.file.path for diff in first] == ["/", "/part1.csv"]
    with client.pfs.pfs_file(diffs[1].new_file.file) as file:
        assert file.read() == b"2"


def test_a_path_written_by_two_datums_marks_the_commit_bad(client, put):
    put({"/f": b"good"})
    with client.pfs.commit(branch=pfs.Branch.from_uri(own("data@master"))) as commit:
        requests = [pfs.ModifyFileRequest(set_commit=commit)]
        requests += [
            pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/out", datum=datum, raw=b"x")) for datum in ("one", "two")
        ]
        client.pfs.modify_file(iter(requests))
    assert "duplicate path output by different datums" in client.pfs.inspect_commit(commit=commit).error
    put({"/g": b"next"})
    assert paths(client.pfs.list_file(file=pfs.File(commit=MASTER))) == ["/f", "/g"]


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/there" else 404)
        self.end_headers()
        self.wfile.write(b"from the web")

    def log_message(self, *args):
        pass


@pytest.fixture
def web():
    server = http.server.HTTPServer(("127.0.0.1", 0), _Pages)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_put_from_a_url(client, web):
    client.pfs.put_file_from_url(commit=MASTER, path="/page", url=f"{web}/there")
    assert get(client, "/page") == b"from the web"
    code, text = error_of(client.pfs.put_file_from_url, commit=MASTER, path="/page", url=f"{web}/gone")
    assert code is grpc.StatusCode.UNKNOWN
    assert text == f'error retrieving content from "{web}/gone": 404 Not Found'
    code, _ = error_of(client.pfs.put_file_from_url, commit=MASTER, path="/page", url="file:///etc/passwd")
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert get(client, "/page") == b"from the web"
