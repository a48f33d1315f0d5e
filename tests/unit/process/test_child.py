"""Launchers and their children: output, mount namespaces, trees that end, leftovers."""

import dataclasses
import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest
from waiting import wait_until

from pdk.process import tree
from pdk.process.child import (
    ChildSpec,
    Mount,
    SubprocessLauncher,
    namespace_argv,
    namespaces_available,
    reap_leftovers,
)

ENV = {"PATH": os.environ["PATH"]}


# Whatever starts children keeps every test of this file that asks for a launcher.
LAUNCHERS = {"subprocess": SubprocessLauncher}


@pytest.fixture(params=LAUNCHERS)
def launcher(request):
    return LAUNCHERS[request.param]()


def spec(tmp_path, script, **more):
    return ChildSpec(f"test/{uuid.uuid4().hex}", ["/bin/sh", "-c", script], ENV, tmp_path, **more)


def test_output_comes_line_by_line_with_its_stream(launcher, tmp_path):
    lines = []
    child = launcher.start(
        spec(tmp_path, "cat; echo oops >&2; exit 3", stdin=b"a\nb\n"), lambda s, t: lines.append((s, t))
    )
    assert child.wait(10) == 3
    assert sorted(lines) == [("stderr", "oops"), ("stdout", "a"), ("stdout", "b")]


def test_stdin_that_nobody_reads_is_no_error(launcher, tmp_path):
    child = launcher.start(spec(tmp_path, "exit 0", stdin=b"x" * 1_000_000))
    assert child.wait(10) == 0


LOCKED = """
mount -t tmpfs -o nosuid,nodev,noexec tmpfs "$1" && mkdir "$1/models" && echo hello > "$1/models/x" || exit 77
shift
exec unshare --user --map-root-user "$@"
"""


def test_read_only_mount_of_an_ordinary_user_keeps_the_flags_of_the_machines(tmp_path):
    """In a user namespace of its own a process may not clear nosuid, nodev and noexec, which /tmp often has."""
    host, scratch = tmp_path / "host", tmp_path / "root"
    host.mkdir()
    scratch.mkdir()
    seen = spec(tmp_path, "cat /mnt/models/x; touch /mnt/models/y")
    ordered = dataclasses.replace(seen, mounts=[Mount(host / "models", "/mnt/models", read_only=True)])
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", LOCKED, "sh", str(host)]
    result = subprocess.run([*command, *namespace_argv(ordered, str(scratch))], capture_output=True, text=True)
    if result.returncode == 77 or "unshare failed" in result.stderr:
        pytest.skip(f"no nested user namespaces here: {result.stderr}")
    assert (result.returncode, result.stdout) == (1, "hello\n")
    assert "Read-only file system" in result.stderr


def test_mounted_folder_is_a_real_path_and_the_machine_is_unchanged(launcher, tmp_path):
    assert namespaces_available() is None
    source, name = tmp_path / "source", f"in-{uuid.uuid4().hex}"
    (source / name).mkdir(parents=True)
    (source / name / "x").write_text("hello\n")
    models = tmp_path / "models"
    models.mkdir()
    lines = []
    child = launcher.start(
        spec(
            tmp_path,
            f"cat /pfs/{name}/x && mkdir /pfs/out && echo made > /pfs/out/y && ls -d /mnt/models /usr && pwd; "
            "touch /mnt/models/z",
            mounts=[Mount(source, "/pfs"), Mount(models, "/mnt/models", read_only=True)],
        ),
        lambda s, t: lines.append((s, t)),
    )
    assert child.wait(10) == 1
    assert [text for stream, text in lines if stream == "stdout"] == ["hello", "/mnt/models", "/usr", str(tmp_path)]
    assert any("Read-only" in text for stream, text in lines if stream == "stderr")
    assert (source / "out" / "y").read_text() == "made\n"
    assert child.scratch is not None
    assert not Path(child.scratch).exists()
    assert not Path("/pfs", name).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become an ordinary user")
def test_namespace_without_root(tmp_path):
    script = Path(__file__).parents[3] / "src/pdk/process/namespace_main.py"
    work = Path(f"/tmp/pdk-user-{uuid.uuid4().hex[:8]}")
    (work / "pfs").mkdir(parents=True)
    (work / "root").mkdir()
    subprocess.run(["chown", "-R", "65534:65534", str(work)], check=True)
    argv = ["sh", "-c", "id -u; echo ok > /pfs/y"]
    mounts = [[f"{work}/pfs", "/pfs", False]]
    order = json.dumps({"root": f"{work}/root", "mounts": mounts, "cwd": "/pfs", "argv": argv})
    result = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", "-c", f"exec(compile({script.read_text()!r}, 'ns', 'exec'))", order],
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    assert result.stderr == ""
    assert result.stdout == "65534\n"
    assert (work / "pfs" / "y").read_text() == "ok\n"
    subprocess.run(["rm", "-rf", str(work)], check=True)


def test_the_whole_tree_ends_with_the_child(launcher, tmp_path):
    pids = tmp_path / "pids"
    child = launcher.start(spec(tmp_path, f"setsid sleep 300 & echo $! > {pids}; sleep 300"))
    wait_until(lambda: pids.exists() and pids.read_text().strip())
    marked = tree.find_marked(lambda m: m == child.marker)
    assert len(marked) >= 2
    child.kill()
    assert child.wait(5) == -9
    assert all(tree.identify(pid) is None for pid in marked)


def test_leftovers_of_a_killed_server_are_found_by_marker(tmp_path):
    prefix = f"left-{uuid.uuid4().hex}/"
    process = subprocess.Popen(
        ["sleep", "300"], env={**ENV, tree.MARKER_VARIABLE: prefix + "x"}, start_new_session=True
    )
    identity = tree.identify(process.pid)
    assert identity is not None
    assert tree.is_alive(identity)
    assert reap_leftovers(prefix) == 1
    assert process.wait(5) == -9
    assert not tree.is_alive(identity)


def test_missing_command_says_so(launcher, tmp_path):
    with pytest.raises(FileNotFoundError):
        launcher.start(ChildSpec("test/x", ["no-such-command"], ENV, tmp_path))


def test_log_file_takes_both_streams(launcher, tmp_path):
    log = tmp_path / "log"
    child = launcher.start(spec(tmp_path, "echo a; echo b >&2", log_path=log))
    assert child.wait(10) == 0
    assert sorted(log.read_text().split()) == ["a", "b"]


def test_the_folder_of_the_new_root_is_removed_by_the_child_itself(launcher, tmp_path):
    child = launcher.start(spec(tmp_path, "sleep 300", mounts=[Mount(tmp_path, "/pfs")]))
    wait_until(lambda: not Path(child.scratch).exists(), 5, "the folder to go")
    child.kill()
    assert child.wait(5) == -9


def test_an_ended_child_does_not_end_who_has_its_number_now(launcher, tmp_path):
    child, other = (launcher.start(spec(tmp_path, script)) for script in ("exit 0", "sleep 60"))
    assert child.wait(10) == 0
    child.pid = other.pid  # as when the kernel has used the number again
    child.kill()
    assert child.terminate() == 0
    assert other.poll() is None
    other.kill()
    assert other.wait(10) == -9
