"""One server in this process: the run file says where it listens while it runs, and it is stopped on SIGTERM."""

import signal
import sys
import types

import pytest

from pdk.base.errors import Unavailable
from pdk.stack import clients, runfile, serve
from pdk.stack.settings import Settings


class FakeServer:
    """Listens nowhere; asks to be stopped as soon as it is asked where it listens."""

    def __init__(self):
        self.stopped = 0

    @property
    def ports(self):
        signal.raise_signal(signal.SIGTERM)
        return {"http": 7}

    def stop(self):
        self.stopped += 1


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


@pytest.fixture
def compose(monkeypatch):
    """Let system `toy` be composed by the function that is passed in."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def install(start):
        module = types.ModuleType("toy_composition")
        module.start = start
        monkeypatch.setitem(sys.modules, "toy_composition", module)
        monkeypatch.setitem(serve.COMPOSITIONS, "toy", "toy_composition")
        monkeypatch.setitem(serve.PORT_SETTINGS, "toy", ("master_port", "s3_port"))

    yield install
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_server_is_stopped_on_sigterm_and_leaves_no_run_file(settings, compose):
    server, asked = FakeServer(), []
    compose(lambda *arguments: asked.append(arguments) or server)
    serve.serve("toy", settings, {"A": "b"})
    assert asked == [(settings, {"A": "b"})]
    assert server.stopped == 1
    assert not (settings.run_dir / "toy.json").exists()


def test_a_port_in_use_names_the_settings(settings, compose):
    def start(*_):
        raise Unavailable("port 7 is in use")

    compose(start)
    with pytest.raises(Unavailable, match=r"port 7 is in use. Other ports: master_port and s3_port in .*config.toml"):
        serve.serve("toy", settings, {})
    with runfile.only_one(settings.run_dir, "toy"):
        pass  # the lock is free again


def test_the_run_file_of_another_process_is_not_removed(settings):
    path = runfile.write(settings.run_dir, "toy", {})
    path.write_text('{"name": "toy", "pid": 1, "start_ticks": 1, "ports": {}}')
    runfile.remove(settings.run_dir, "toy")
    assert path.exists()
    runfile.write(settings.run_dir, "toy", {})
    runfile.remove(settings.run_dir, "toy")
    assert not path.exists()


def test_the_variables_that_point_clients_at_a_stack(settings):
    assert clients.environment(settings, 8080, 8081) == {
        "PACH_CONFIG": str(settings.pachyderm_config),
        "DET_MASTER": f"http://{settings.host}:8080",
        "KUBECONFIG": str(settings.kubeconfig),
        "INGRESS_HOST": settings.host,
        "INGRESS_PORT": "8081",
    }


@pytest.mark.parametrize("config", [{}, {"v2": {}}, {"v2": {"active_context": "x"}}, {"v2": {"contexts": {"x": {}}}}])
def test_a_configuration_without_an_active_context(config):
    assert clients.active_context(config) == {}
