"""One supervisor and one server of each kind for each stack; `pdk up` beside a running stack leaves it alone."""

import os

import pytest
from click.testing import CliRunner

from pdk.base.errors import FailedPrecondition, Unavailable
from pdk.cli import stack
from pdk.process import tree
from pdk.process.child import ChildSpec, SubprocessLauncher
from pdk.stack import runfile, serve, supervisor
from pdk.stack.settings import Settings


class NoLauncher:
    def start(self, spec, on_line=None):
        raise AssertionError("nothing may be started")


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


@pytest.fixture
def server(settings):
    """A process that looks like a server of this stack."""
    marker = f"{settings.marker_prefix}server/kserve"
    child = SubprocessLauncher().start(ChildSpec(marker, ["sleep", "60"], {"PATH": os.defpath}, settings.home))
    yield child
    child.kill()
    child.wait(5.0)


def test_a_second_supervisor_leaves_the_servers_of_the_first_alone(settings, server):
    with (
        runfile.only_one(settings.run_dir, supervisor.SUPERVISOR),
        pytest.raises(FailedPrecondition, match=r"supervisor of .* is running already: stop it with `pdk down`"),
    ):
        supervisor.Supervisor(settings, {}, launcher=NoLauncher()).run()
    assert server.poll() is None
    with runfile.only_one(settings.run_dir, supervisor.SUPERVISOR):
        pass  # free again


def test_a_second_server_does_not_open_the_data(settings, monkeypatch):
    monkeypatch.setattr(serve, "_serve", lambda *_: pytest.fail("the data was opened"))
    with (
        runfile.only_one(settings.run_dir, "kserve"),
        pytest.raises(FailedPrecondition, match=r"kserve of .* is running already"),
    ):
        serve.serve("kserve", settings, {})


@pytest.mark.parametrize("running", [True, False])
def test_up_ends_only_what_it_started(settings, monkeypatch, running):
    """`pdk up` may find a system missing beside others that serve."""
    stopped = []
    monkeypatch.setattr(stack, "load_settings", lambda: settings)
    monkeypatch.setattr(supervisor, "start_detached", lambda *_: None)
    monkeypatch.setattr(supervisor, "stop", stopped.append)

    def missing(*_):
        raise Unavailable("determined does not come up")

    monkeypatch.setattr(supervisor, "wait_ready", missing)
    if running:
        runfile.write(settings.run_dir, supervisor.SUPERVISOR, {})
        assert tree.identify(os.getpid()) is not None
    result = CliRunner().invoke(stack.up)
    assert isinstance(result.exception, Unavailable)
    assert stopped == ([] if running else [settings])
