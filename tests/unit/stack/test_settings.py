"""Settings: defaults, file, environment, and clear refusals."""

import json
import socket
import subprocess
import sys

import pytest

from pdk.stack import clients, runfile
from pdk.stack.images import ImageEntry
from pdk.stack.serve import PORT_SETTINGS
from pdk.stack.settings import BadSettings, load


def test_file_and_environment_override_the_defaults(tmp_path):
    (tmp_path / "config.toml").write_text('pachd_port = 1\nmaster_port = 2\n[images]\n"my-train" = "/code"\n')
    settings = load({"PDK_HOME": str(tmp_path), "PDK_MASTER_PORT": "3"})
    assert (settings.pachd_port, settings.master_port, settings.s3_port) == (1, 3, 30600)
    assert settings.images == {"my-train": ImageEntry("/code")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pachd_port = 'x'", "pachd_port = 'x' is not a int"),
        ("nope = 1", "unknown setting 'nope'"),
        ("x = = 1", "not TOML"),
    ],
)
def test_bad_settings_name_file_and_key(tmp_path, text, message):
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(BadSettings, match=message) as caught:
        load({"PDK_HOME": str(tmp_path)})
    assert str(tmp_path / "config.toml") in str(caught.value)


def test_two_homes_have_two_marker_prefixes(tmp_path):
    first, second = (load({"PDK_HOME": str(tmp_path / name)}) for name in "ab")
    assert first.marker_prefix != second.marker_prefix


def test_run_file_of_a_dead_process_counts_as_absent(tmp_path):
    runfile.write(tmp_path, "x", {"http": 1})
    assert runfile.read(tmp_path, "x").ports == {"http": 1}
    (tmp_path / "x.json").write_text('{"name": "x", "pid": 1, "start_ticks": 1, "ports": {}}')
    assert runfile.read(tmp_path, "x") is None
    (tmp_path / "x.json").write_text('{"na')
    assert runfile.read(tmp_path, "x") is None


def test_the_default_project_survives_a_new_address(tmp_path):
    path = tmp_path / "pachyderm.json"
    clients.write_pachyderm_config(path, "127.0.0.1", 1)
    clients.set_project(path, "churn")
    clients.write_pachyderm_config(path, "127.0.0.1", 2)
    context = clients.active_context(json.loads(path.read_text()))
    assert context == {"pachd_address": "grpc://127.0.0.1:2", "project": "churn"}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("system", PORT_SETTINGS)
def test_a_server_whose_port_is_taken_ends_and_names_the_setting_that_changes_it(tmp_path, system):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {f"PDK_{name.upper()}": port for name in PORT_SETTINGS[system]}
        result = subprocess.run(
            [sys.executable, "-m", "pdk.cli.main", "serve", system],
            env={"PATH": "/usr/bin:/bin", "PDK_HOME": str(tmp_path), **ports},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert result.returncode == 1
    assert port in result.stderr
    assert PORT_SETTINGS[system][0] in result.stderr
    assert "Traceback" not in result.stderr


def test_an_image_is_a_folder_or_a_table(tmp_path):
    entry = '{folder = "/code", python = "/x/python", env = {A = "b"}, trust_checkpoints = true}'
    (tmp_path / "config.toml").write_text(f'[images]\n"x/pdk:train-v1" = {entry}\n')
    images = load({"PDK_HOME": str(tmp_path)}).images
    assert images == {"x/pdk:train-v1": ImageEntry("/code", "/x/python", {"A": "b"}, True)}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("3", "must be a folder, or a table with a folder"),
        ('{python = "/x"}', "must be a folder, or a table with a folder"),
        ('{folder = "/x", pyhton = "/y"}', "unknown key 'pyhton'; known: folder, python"),
        ('{folder = "/x", trust_checkpoints = "yes"}', "trust_checkpoints = 'yes' is not a bool"),
    ],
)
def test_an_image_that_is_neither_is_named(tmp_path, value, reason):
    (tmp_path / "config.toml").write_text(f"[images]\nmine = {value}\n")
    with pytest.raises(BadSettings, match=r"images\.mine.*" + reason):
        load({"PDK_HOME": str(tmp_path)})
