"""The supervisor with servers that exist only here: it restarts what ends, later each time, and ends all at the end."""

import itertools
import signal
import threading

import pytest
from waiting import wait_until

from pdk.base.errors import Unavailable
from pdk.process import tree
from pdk.stack import runfile, supervisor
from pdk.stack.settings import Settings


class FakeChild:
    """A server process: runs until the test ends it."""

    def __init__(self, pid, status):
        self.pid, self.status, self.terminated = pid, status, 0

    def poll(self):
        return self.status

    def wait(self, timeout=None):
        return self.status

    def terminate(self, grace=0.0):
        self.terminated += 1
        return 0


class FakeLauncher:
    """Starts fake servers: those of `dying` have ended with status 3 before anyone looks."""

    def __init__(self, dying=()):
        self.dying, self.started = dying, []
        self._pids = itertools.count(1 << 30)  # above every pid there can be

    def start(self, spec, on_line=None):
        child = FakeChild(next(self._pids), 3 if spec.argv[-1] in self.dying else None)
        self.started.append((spec, child))
        return child

    def of(self, system):
        return [child for spec, child in self.started if spec.argv[-1] == system]


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


@pytest.fixture
def supervise(settings, monkeypatch):
    """Run a supervisor in this (the main) thread until a condition holds, then end it as `pdk down` does."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(launcher, condition):
        def watch():
            try:
                wait_until(condition, 20)
            finally:
                signal.raise_signal(signal.SIGTERM)

        watcher = threading.Thread(target=watch)
        watcher.start()
        supervisor.Supervisor(settings, {"A": "b"}, ("determined", "kserve"), launcher).run()
        watcher.join()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_every_server_is_started_once_and_ended_at_the_end(supervise, settings, monkeypatch):
    signalled = []
    monkeypatch.setattr(tree, "signal_group", lambda pid, number: signalled.append((pid, number)))
    launcher, seen = FakeLauncher(), []

    def both_run():
        seen.append(runfile.read(settings.run_dir, supervisor.SUPERVISOR))
        return len(launcher.started) == 2

    supervise(launcher, both_run)
    specs, children = zip(*launcher.started, strict=True)
    assert [spec.argv[-2:] for spec in specs] == [["serve", "determined"], ["serve", "kserve"]]
    assert [spec.env for spec in specs] == [{"A": "b", "PDK_HOME": str(settings.home)}] * 2
    assert [spec.log_path.name for spec in specs] == ["determined.log", "kserve.log"]
    assert len({spec.marker for spec in specs}) == 2
    assert signalled == [(child.pid, signal.SIGTERM) for child in children]
    assert [child.terminated for child in children] == [1, 1]
    assert runfile.read(settings.run_dir, supervisor.SUPERVISOR) is None


def test_only_the_server_that_ends_is_restarted_and_later_each_time(supervise, settings, monkeypatch, caplog):
    monkeypatch.setattr(tree, "signal_group", lambda *_: None)
    launcher = FakeLauncher(dying=("determined",))
    supervise(launcher, lambda: runfile.read_restarts(settings.run_dir, "determined") >= 3)
    assert len(launcher.of("determined")) >= 3
    assert len(launcher.of("kserve")) == 1
    assert runfile.read_restarts(settings.run_dir, "kserve") == 0
    told = [record.getMessage() for record in caplog.records if "ended" in record.getMessage()]
    assert told[:3] == [
        f"determined ended with status 3; starting it again in {delay} s" for delay in ("0.2", "0.4", "0.8")
    ]


def test_up_waits_for_every_system_and_returns_where_it_listens(settings):
    for port, system in enumerate(("determined", "kserve")):
        runfile.write(settings.run_dir, system, {"http": port})
    found = supervisor.wait_ready(settings, ("determined", "kserve"), 0)
    assert {system: run.ports for system, run in found.items()} == {"determined": {"http": 0}, "kserve": {"http": 1}}


@pytest.mark.parametrize(("restarts", "timeout"), [(supervisor.HOPELESS_RESTARTS, 1000), (0, 0)])
def test_up_gives_up_and_shows_the_end_of_the_log(settings, restarts, timeout):
    runfile.write_restarts(settings.run_dir, "kserve", restarts)
    settings.log_dir.mkdir(parents=True)
    (settings.log_dir / "kserve.log").write_text("".join(f"line {n}\n" for n in range(20)))
    with pytest.raises(Unavailable, match="kserve does not come up; the end of") as caught:
        supervisor.wait_ready(settings, ("kserve",), timeout)
    assert "line 19" in str(caught.value)
    assert "line 4\n" not in str(caught.value)


def test_stopping_what_does_not_run(settings):
    assert supervisor.stop(settings) is False


def test_a_log_that_is_not_there_has_no_end(tmp_path):
    assert supervisor.tail(tmp_path / "log", 3) == ""
