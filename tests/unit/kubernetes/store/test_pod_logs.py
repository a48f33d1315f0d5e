"""Container logs on disk."""

import threading

import pytest

from pdk.base import clock
from pdk.kubernetes.errors import BadRequest
from pdk.kubernetes.store import pod_logs
from pdk.kubernetes.store.pod_logs import LogOptions, PodLogs


@pytest.fixture
def logs(tmp_path):
    return PodLogs(tmp_path)


def read(logs, **options):
    return b"".join(logs.follow("models", "p", "c", LogOptions(**options)).read_new()).decode()


def write(logs, *lines):
    for line in lines:
        logs.append("models", "p", "c", line)


def test_lines_come_back_as_they_were_written(logs):
    write(logs, "one\n", "two\rthree", "multi\nline", "", "é \udcff \0")
    assert read(logs) == "one\ntwo\rthree\nmulti\nline\n\né ? \0\n"
    stamped = read(logs, timestamps=True).splitlines()
    assert stamped[0].endswith("Z one")


def test_nothing_written_is_nothing_read(logs):
    assert read(logs) == ""
    assert not logs.follow("models", "p", "c", LogOptions()).exists


def test_tail_since_and_limit(logs):
    write(logs, "old")
    middle = clock.rfc3339_now()
    write(logs, "a", "b", "c")
    assert read(logs, tail_lines=2) == "b\nc\n"
    assert read(logs, tail_lines=0) == ""
    assert read(logs, since_time=middle) == "a\nb\nc\n"
    assert read(logs, since_seconds=3600) == "old\na\nb\nc\n"
    assert read(logs, since_time="2000-01-01T00:00:00Z", tail_lines=1) == "c\n"
    assert read(logs, limit_bytes=3) == "old"
    with pytest.raises(BadRequest, match="sinceTime"):
        read(logs, since_time="yesterday")


@pytest.mark.parametrize(
    "names", [("..", "p", "c"), ("n", "../p", "c"), ("n", "p", "c/d"), ("n", "", "c"), ("n", "p", "C")]
)
def test_no_name_leaves_the_folder(logs, names):
    with pytest.raises(BadRequest):
        logs.path(*names)


def test_a_reader_goes_on_where_it_was(logs):
    write(logs, "a")
    reader = logs.follow("models", "p", "c", LogOptions(tail_lines=1))
    assert list(reader.read_new()) == [b"a\n"]
    assert list(reader.read_new()) == []
    write(logs, "b", "c")
    assert list(reader.read_new()) == [b"b\n", b"c\n"]
    reader.close()


def test_half_a_line_is_given_once_it_is_whole(logs):
    path = logs.path("models", "p", "c")
    path.write_bytes(b"2024-01-01T00:00:00Z ha")
    reader = logs.follow("models", "p", "c", LogOptions())
    assert list(reader.read_new()) == []
    with path.open("ab") as file:
        file.write(b"lf\n")
    assert list(reader.read_new()) == [b"half\n"]
    reader.close()


def test_a_reader_survives_rotation_by_size(logs, monkeypatch):
    monkeypatch.setattr(pod_logs, "MAX_BYTES", 2000)
    reader = logs.follow("models", "p", "c", LogOptions())
    seen = []
    for number in range(200):
        write(logs, f"line {number}")
        seen += reader.read_new()
    assert seen == [f"line {number}\n".encode() for number in range(200)]
    assert sum(file.stat().st_size for file in logs.path("models", "p", "c").parent.iterdir()) < 5000
    assert read(logs, tail_lines=1) == "line 199\n"
    assert len(read(logs).splitlines()) > 40  # the file before is read as well
    reader.close()


def test_the_previous_run(logs):
    write(logs, "first")
    logs.rotate("models", "p", "c")
    write(logs, "second")
    assert read(logs) == "second\n"
    assert read(logs, previous=True) == "first\n"
    logs.rotate("models", "p", "c")
    assert read(logs, previous=True) == "second\n"
    logs.remove("models", "p")
    assert read(logs) == ""


def test_writers_do_not_mix_their_lines(logs):
    threads = [threading.Thread(target=write, args=(logs, *["x" * 300] * 50)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read(logs).splitlines()) == {"x" * 300}
