"""Log lines: parsing, formatting, bounded and in order."""

import threading

import pytest

from pdk.determined.master.logs import TaskLogs, TaskOutput, message, parsed
from pdk.determined.store.logs import TaskLogFilter
from pdk.determined.store.records import Allocation, LogLine

ALLOCATION = Allocation(
    "1.u.1", 1, "1.u", 1, "0123456789abcdef", "RUNNING", 0, "t", None, None, None, None, None, None, False, None
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", (None, None, "plain")),
        ("INFO: [12] determined: hello", (None, "INFO", "[12] determined: hello")),
        ("[rank=3] WARNING: careful", (3, "WARNING", "careful")),
        (" [rank=0]text", (0, None, "text")),
        ("INFORMATION: x", (None, None, "INFORMATION: x")),
        ("ERROR:", (None, "ERROR", "")),
        ("[rank=99999999999] x", (None, None, "[rank=99999999999] x")),
        ("TRACE: x", (None, None, "TRACE: x")),
    ],
)
def test_parsed(text, expected):
    assert parsed(text) == expected


def line(**changes):
    values = {
        "id": 1,
        "task_id": "1.u",
        "trial_id": 1,
        "allocation_id": None,
        "container_id": None,
        "rank_id": None,
        "timestamp": "2024-01-02T03:04:05.678901Z",
        "level": None,
        "source": None,
        "stdtype": None,
        "log": "hello",
    }
    return LogLine(**{**values, **changes})


def test_message():
    assert message(line()) == "[2024-01-02T03:04:05.678901Z]          || hello\n"
    full = line(container_id="0123456789", rank_id=2, level="INFO")
    assert message(full) == "[2024-01-02T03:04:05.678901Z] 01234567 [rank=2] || INFO: hello\n"


@pytest.fixture
def logs(bench):
    logs = TaskLogs(bench.db, bench.signals)
    logs.start()
    yield logs
    logs.stop()


def texts(logs, **wanted):
    return [each.log for each in logs.read(TaskLogFilter(trial_id=1, **wanted), 0, 10_000)]


def test_lines_come_back_in_order_after_a_flush(logs):
    output = TaskOutput(logs, ALLOCATION, 0, 10_000)
    for i in range(50):
        output.write("stdout", f"line {i}")
    logs.flush()
    assert texts(logs) == [f"line {i}" for i in range(50)]


def test_progress_bars_are_lines(logs):
    output = TaskOutput(logs, ALLOCATION, None, 10_000)
    output.write("stderr", "10%\r20%\r")
    output.write("stdout", "")
    logs.flush()
    assert texts(logs) == ["10%", "20%", ""]


def test_long_lines_are_cut(logs):
    TaskOutput(logs, ALLOCATION, None, 100_000).write("stdout", "x" * 20_000)
    logs.flush()
    assert [len(text) for text in texts(logs)] == [8191, 8191, 3618]


def test_a_run_that_writes_too_much_is_cut_with_a_word(logs):
    output = TaskOutput(logs, ALLOCATION, None, 30)
    for _ in range(10):
        output.write("stdout", "0123456789")
    logs.flush()
    kept = logs.read(TaskLogFilter(trial_id=1), 0, 100)
    assert [each.log for each in kept[:-1]] == ["0123456789"] * 2
    assert (kept[-1].level, "dropped" in kept[-1].log) == ("WARNING", True)


def test_filters(logs):
    output = TaskOutput(logs, ALLOCATION, None, 10_000)
    output.write("stdout", "[rank=1] INFO: one")
    output.write("stderr", "ERROR: 100% two_")
    logs.flush()
    assert texts(logs, levels=["ERROR"]) == ["100% two_"]
    assert texts(logs, rank_ids=[1]) == ["one"]
    assert texts(logs, stdtypes=["stderr"]) == ["100% two_"]
    assert texts(logs, search_text="0% two_") == ["100% two_"]
    assert texts(logs, search_text="_one") == []
    assert texts(logs, after="2999-01-01T00:00:00.000000Z") == []
    assert logs.distinct(TaskLogFilter(trial_id=1), "rank_id") == [1]


def test_a_full_queue_makes_the_writer_wait(bench, monkeypatch):
    monkeypatch.setattr("pdk.determined.master.logs.QUEUE_LINES", 5)
    logs = TaskLogs(bench.db, bench.signals)
    output = TaskOutput(logs, ALLOCATION, None, 10_000)
    writer = threading.Thread(target=lambda: [output.write("stdout", str(i)) for i in range(20)])
    writer.start()
    writer.join(0.3)
    assert writer.is_alive()
    logs.start()
    writer.join(10)
    assert not writer.is_alive()
    logs.flush()
    assert texts(logs) == [str(i) for i in range(20)]
    logs.stop()
