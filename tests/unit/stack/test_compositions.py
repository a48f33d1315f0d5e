"""What each composition starts: servers that listen where they say, stop, and start again on their data."""

import json
import socket
import subprocess
import sys
import threading

import pytest
from waiting import wait_until

from pdk.stack import determined, kserve, pachyderm
from pdk.stack import images as stack_images
from pdk.stack.images import ImageEntry
from pdk.stack.settings import Settings

SYSTEMS = {"pachyderm": pachyderm, "determined": determined, "kserve": kserve}
PORTS = {"pachyderm": {"grpc", "s3"}, "determined": {"http"}, "kserve": {"https", "ingress"}}
FREE = {f"{name}_port": 0 for name in ("pachd", "s3", "master", "kubernetes", "ingress")}


def settings_of(home, **more):
    return Settings(home=home, **{**FREE, **more})


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_server_listens_where_it_says_and_starts_again_on_its_data(system, tmp_path):
    settings = settings_of(tmp_path)
    before = set(threading.enumerate())
    for _ in range(2):
        server = SYSTEMS[system].start(settings, {"PATH": "/usr/bin:/bin"})
        ports = server.ports
        assert set(ports) == PORTS[system]
        assert [port for port in ports.values() if not listens(port)] == []
        server.stop()
        assert [port for port in ports.values() if listens(port)] == []

    def left():
        return [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]

    wait_until(lambda: not left(), timeout=30, what=left)  # gRPC's last thread sees the end of its calls a moment later


@pytest.mark.parametrize(
    ("system", "setting"),
    [("pachyderm", "pachd_port"), ("pachyderm", "s3_port"), ("determined", "master_port"),
     ("kserve", "kubernetes_port"), ("kserve", "ingress_port")],
)  # fmt: skip
def test_a_taken_port_ends_the_server_with_its_number_and_the_setting(system, setting, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {f"PDK_{name.upper()}": str(each) for name, each in {**FREE, setting: port}.items()}
        result = subprocess.run(
            [sys.executable, "-m", "pdk.cli.main", "serve", system],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PDK_HOME": str(tmp_path), **ports},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert setting in result.stderr


def test_pachd_keeps_its_cluster_id_and_tells_clients_its_address(tmp_path):
    settings = settings_of(tmp_path)
    ids = set()
    for _ in range(2):
        server = pachyderm.start(settings, {})
        config = json.loads(settings.pachyderm_config.read_text())["v2"]
        assert config["contexts"]["pdk"]["pachd_address"] == f"grpc://127.0.0.1:{server.ports['grpc']}"
        ids.add((tmp_path / "pachyderm" / "cluster-id").read_text())
        server.stop()
    assert len(ids) == 1


def test_an_image_is_the_folder_of_its_container_unless_the_settings_say_otherwise(tmp_path):
    entries = {"mine": ImageEntry("/mine"), "pdk-train": ImageEntry("/other", python="/opt/x/bin/python")}
    images = pachyderm.image_map(settings_of(tmp_path, images=entries))
    assert str(images.resolve("registry.example/pdk-deploy:0.1.0").cwd).endswith("containers/deploy")
    assert str(images.resolve("mine").cwd) == "/mine"
    assert images.resolve("pdk-train:0.1.0").env["PATH"].startswith("/opt/x/bin:")
    trusted = ImageEntry("/old", env={"A": "b"}, trust_checkpoints=True)
    stack_images.write(tmp_path, {"x/pdk:train-v1": trusted})  # while it runs
    target = images.resolve("x/pdk:train-v1")
    assert (str(target.cwd), target.env["A"], target.env["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"]) == ("/old", "b", "1")
    (tmp_path / "images.json").write_text("{")
    assert str(images.resolve("x/pdk:train-v1").cwd) == "/old"  # what was read before goes on
    (tmp_path / "images.json").unlink()
    assert images.resolve("x/pdk:train-v1") is None
    assert str(images.resolve("pdk-train:0.1.0").cwd) == "/other"


def test_torchserve_gets_no_credential_of_the_environment(tmp_path):
    environment = {"PATH": "/bin", "HOME": "/nowhere", "AWS_SECRET_ACCESS_KEY": "x", "DET_PASS": "y"}
    made = kserve.predictor_settings(settings_of(tmp_path), tmp_path, environment)
    assert dict(made.environment) == {"PATH": "/bin", "HOME": "/nowhere"}
