import base64
import datetime
import json
import os
import threading
import time
from pathlib import Path

import pytest
from waiting import wait_until

from pdk.base.errors import FailedPrecondition
from pdk.db.database import Database
from pdk.pachyderm.pps.datum_values import make_datum
from pdk.pachyderm.pps.images import ImageMap, ImageTarget
from pdk.pachyderm.pps.running import Restarted, RunningJob, Stopped
from pdk.pachyderm.pps.secrets import SecretMask, Secrets
from pdk.pachyderm.pps.settings import Address, PpsSettings
from pdk.pachyderm.pps.spec import parse_request
from pdk.pachyderm.pps.types import DatumInput, Job, PipelineInfo
from pdk.pachyderm.pps.user_code import (
    JobContext,
    JobTimedOut,
    LastLines,
    Surroundings,
    UserCode,
    UserCodeFailed,
    exit_text,
)
from pdk.pachyderm.store.pps_schema import MIGRATIONS
from pdk.pachyderm.values import Commit, JobState, PipelineState, Repo
from pdk.process.child import SubprocessLauncher, namespaces_available
from pdk.process.tree import find_marked

PATH = "/usr/local/bin:/usr/bin:/bin"
NO_NAMESPACE = namespaces_available()


class Files:
    """Stands for pfs: every file holds its own path."""

    def files(self, commit):
        return self

    def export(self, path, destination, empty_files=False):
        file = destination / path.strip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("" if empty_files else path)


class Log:
    """Stands for the log of a datum."""

    def __init__(self):
        self.lines = []

    def user(self, message):
        self.lines.append(message)


class Bench:
    """Builds runs of one datum with a given transform."""

    def __init__(self, root, db):
        self.root = root
        self.secrets = Secrets(db)
        self.images = {}
        self.log = Log()
        self.running = RunningJob()
        self.no_namespace = NO_NAMESPACE

    def code(self, transform, deadline=None, **spec):
        request = {
            "pipeline": {"name": "p"},
            "input": {"pfs": {"repo": "data", "glob": "/*"}},
            "transform": transform,
            **spec,
        }
        parsed = parse_request(request).spec
        moment = datetime.datetime.now(datetime.UTC)
        info = PipelineInfo(
            parsed.pipeline, 1, Commit(parsed.pipeline.spec_repo, "spec1"), moment, moment, False,
            PipelineState.PIPELINE_RUNNING, "", JobState.JOB_STATE_UNKNOWN, 1, "", "{}", {},
        )  # fmt: skip
        settings = PpsSettings(self.root, f"pdk-test-{os.getpid()}/", PATH)
        surroundings = Surroundings(
            Files(), SubprocessLauncher(), ImageMap(lambda: self.images), self.secrets, settings,
            Address("127.0.0.1", 1234), self.no_namespace,
        )  # fmt: skip
        self.context = JobContext(
            Job(parsed.pipeline, "job1"), info, parsed, self.running, SecretMask([b"hunter2hunter2"]), deadline
        )
        return UserCode(surroundings, self.context)

    def datum(self, **options):
        return make_datum(
            [DatumInput("data", Commit(Repo("default", "data"), "c1"), "master", "/a/b", b"h", 4, **options)], ""
        )

    def run(self, cmd, stdin=(), transform=None, datum=None, **spec):
        """Run `cmd` once; return what `/pfs/out` holds."""
        code = self.code({"cmd": cmd, "stdin": list(stdin), **(transform or {})}, **spec)
        datum = datum or self.datum()
        with self.running.processing(datum), code.prepare(datum) as attempt:
            attempt.run(self.context.spec.transform.cmd, self.context.spec.transform.stdin, self.log)
            return {path.name: path.read_text() for path in attempt.scratch.out.iterdir()}


@pytest.fixture
def bench(tmp_path):
    db = Database(tmp_path / "pachd.db", MIGRATIONS)
    yield Bench(tmp_path, db)
    db.close()
    assert find_marked(lambda marker: marker.startswith(f"pdk-test-{os.getpid()}/")) == []


needs_namespaces = pytest.mark.skipif(NO_NAMESPACE is not None, reason=f"no mount namespaces here: {NO_NAMESPACE}")


@needs_namespaces
def test_inputs_and_output_are_real_paths(bench):
    out = bench.run(["cp", "/pfs/data/a/b", "/pfs/out/copy"])
    assert out == {"copy": "/a/b"}


@needs_namespaces
def test_stdin_is_the_lines_and_the_environment_is_complete(bench):
    out = bench.run(
        ["/bin/sh"], ['echo "$data $PACH_DATUM_ID $data_COMMIT" > /pfs/out/vars', "cp /pfs/.env /pfs/out/env"]
    )
    assert out["vars"] == f"/pfs/data/a/b {bench.datum().id} c1\n"
    env = dict(line.split("=", 1) for line in out["env"].splitlines())
    assert env["PACH_JOB_ID"] == "job1"
    assert env["PACHD_PEER_SERVICE_PORT"] == "1234"
    assert env["OMP_NUM_THREADS"] == "1"
    assert env["PFS_ROOT"] == "/pfs"


def test_a_secret_no_variable_can_hold_says_so(bench):
    secret = {"kind": "Secret", "metadata": {"name": "key"}, "data": {"raw": base64.b64encode(b"a\0b").decode()}}
    bench.secrets.create_secret(json.dumps(secret).encode())
    with pytest.raises(FailedPrecondition, match=r"key raw of secret key holds a NUL byte.*use mount_path") as error:
        bench.run(["true"], transform={"secrets": [{"name": "key", "key": "raw", "env_var": "RAW"}]})
    assert "a\0b" not in str(error.value)


def test_the_servers_own_environment_stays_outside(bench, monkeypatch):
    monkeypatch.setenv("PDK_TEST_LEAK", "1")
    bench.run(["env"])
    names = {line.split("=")[0] for line in bench.log.lines}
    assert "PDK_TEST_LEAK" not in names
    assert "HOME" in names


def test_later_layers_of_the_environment_win_and_all_of_it_is_in_a_file(bench):
    bench.images["mine"] = ImageTarget(env={"A": "image", "B": "image", "C": "image"})
    bench.secrets.create_secret(secret_file(key="secret"))
    bench.run(
        ["/bin/sh"],
        ["/usr/bin/env", "echo --", '/bin/cat "$PFS_ROOT/.env"'],
        transform={
            "image": "mine",
            "env": {"A": "transform", "B": "transform", "PATH": "/mine", "PACH_JOB_ID": "forged", "data": "forged"},
            "secrets": [{"name": "s", "key": "key", "env_var": "B"}],
        },
    )
    border = bench.log.lines.index("--")
    seen, written = (
        dict(line.split("=", 1) for line in lines)
        for lines in (bench.log.lines[:border], bench.log.lines[border + 1 :])
    )
    assert [written[name] for name in "ABC"] == ["transform", "secret", "image"]
    assert (written["PATH"], written["PACH_JOB_ID"]) == ("/mine", "job1")
    assert written["data"].endswith("/data/a/b")
    assert written.items() <= seen.items()


def test_output_lines_are_logged_and_secrets_are_masked(bench):
    bench.run(["/bin/sh"], ["echo to stdout", "echo to stderr hunter2hunter2 >&2"])
    assert sorted(bench.log.lines) == ["to stderr *****", "to stdout"]


def test_empty_files_keep_names_only(bench):
    out = bench.run(
        ["/bin/sh"], ['wc -c < "$PFS_ROOT/data/a/b" > "$PFS_ROOT/out/size"'], datum=bench.datum(empty_files=True)
    )
    assert out["size"].strip() == "0"


def test_a_failure_says_how_it_ended_and_what_was_printed_last(bench):
    with pytest.raises(UserCodeFailed, match=r"^exit status 3: line 9\nno such column: x$"):
        bench.run(["/bin/sh"], ["echo noise", "echo line 9 >&2", "echo 'no such column: x' >&2", "exit 3"])


def test_without_stderr_the_last_stdout_lines_are_shown(bench):
    with pytest.raises(UserCodeFailed, match=r"^exit status 1: only stdout$"):
        bench.run(["/bin/sh"], ["echo only stdout", "exit 1"])


def test_accepted_return_codes_are_success(bench):
    assert bench.run(["/bin/sh"], ["exit 3"], transform={"accept_return_code": [3]}) == {}


def test_a_missing_command_is_named(bench):
    with pytest.raises(UserCodeFailed, match="no-such-command: No such file"):
        bench.run(["no-such-command"])


def test_a_missing_working_folder_is_named(bench):
    bench.no_namespace = "switched off"
    with pytest.raises(UserCodeFailed, match="/no/such/folder does not exist"):
        bench.run(["true"], transform={"working_dir": "/no/such/folder"})


def test_children_of_user_code_end_with_it(bench):
    bench.run(["/bin/sh"], ["sleep 300 &", "setsid sleep 300 &"])


@pytest.mark.timeout(60)
def test_a_datum_timeout_kills_the_whole_tree(bench):
    with pytest.raises(UserCodeFailed, match=r"datum_timeout of 0.3s passed: begun"):
        bench.run(["/bin/sh"], ["echo begun", "sleep 300 & sleep 300"], datum_timeout="0.3s")


def test_the_end_of_the_jobs_time_is_told_apart(bench):
    with pytest.raises(JobTimedOut):
        bench.run(["sleep", "300"], deadline=time.monotonic() + 0.2)


@pytest.mark.parametrize(("action", "error"), [("cancel", Stopped), ("restart", Restarted)])
def test_a_running_datum_can_be_ended_from_outside(bench, action, error):
    def act():
        wait_until(lambda: bench.log.lines)
        if action == "cancel":
            bench.running.cancel()
        else:
            assert not bench.running.restart(["/another"])
            assert bench.running.restart(["/a/b"])

    thread = threading.Thread(target=act)
    thread.start()
    with pytest.raises(error):
        bench.run(["/bin/sh"], ["echo begun", "sleep 300"])
    thread.join()


def test_what_is_started_after_a_cancel_ends_at_once(bench):
    bench.running.cancel()
    with pytest.raises(Stopped):
        bench.run(["sleep", "300"])
    assert not bench.running.restart([])


def test_a_mapped_image_gives_folder_and_environment(bench, tmp_path):
    folder = tmp_path / "container"
    folder.mkdir()
    (folder / "train.sh").write_text('echo "$COLOUR" > "$PFS_ROOT/out/colour"')
    bench.images["my-train"] = ImageTarget(cwd=folder, env={"COLOUR": "blue"})
    assert bench.run(["/bin/sh", "train.sh"], transform={"image": "hub.example/x/my-train:1"}) == {"colour": "blue\n"}
    assert str(folder) in bench.code({"image": "my-train"}).describe()[0]


def test_an_unmapped_image_runs_in_an_empty_folder_and_is_said_to(bench):
    bench.run(["/bin/sh"], ["ls -A; pwd"])
    assert bench.log.lines[0] == "pfs"
    assert bench.log.lines[1].startswith(str(bench.root / "scratch"))
    bench.no_namespace = "switched off"
    lines = bench.code({"image": "ubuntu:20.04", "user": "nobody"}).describe()
    assert "ubuntu:20.04 was not used" in lines[0]
    assert "map the image" in lines[0]
    assert lines[1].startswith("user nobody was not used")
    assert "switched off" in lines[2]


def test_each_job_works_in_a_copy_of_the_images_folder(bench, tmp_path):
    folder = tmp_path / "container"
    folder.mkdir()
    (folder / "code.txt").write_text("v1")
    bench.images["mine"] = ImageTarget(cwd=folder)
    script = ['cat code.txt left.txt > "$PFS_ROOT/out/seen"; echo v2 > code.txt; echo x > left.txt']
    for _ in range(2):
        assert bench.run(["/bin/sh"], script, transform={"image": "mine", "accept_return_code": [1]}) == {"seen": "v1"}
    assert [path.name for path in folder.iterdir()] == ["code.txt"]
    assert (folder / "code.txt").read_text() == "v1"


@needs_namespaces
def test_pfs_resolves_relatively_as_in_a_containers_root(bench):
    assert bench.run(["/bin/sh"], ["echo y > pfs/out/made"]) == {"made": "y\n"}


def test_a_folder_that_holds_the_scratch_folder_is_copied_without_it(bench):
    (bench.root / "code.txt").write_text("v1")
    bench.images["mine"] = ImageTarget(cwd=bench.root)
    assert bench.run(["/bin/sh"], ['cat code.txt > "$PFS_ROOT/out/seen"'], transform={"image": "mine"}) == {
        "seen": "v1"
    }


def test_a_folder_that_is_gone_is_named(bench, tmp_path):
    bench.images["mine"] = ImageTarget(cwd=tmp_path / "gone")
    with pytest.raises(FailedPrecondition, match="the folder of image mine cannot be copied"):
        bench.run(["true"], transform={"image": "mine"})


def test_torch_that_refuses_a_pickle_is_told_how_to_be_allowed(bench, tmp_path):
    bench.images["mine"] = ImageTarget(cwd=tmp_path / "image")
    (tmp_path / "image").mkdir()
    script = ["echo '_pickle.UnpicklingError: Weights only load failed. more' >&2; exit 1"]
    with pytest.raises(UserCodeFailed, match=r"hint: torch 2.6 .*pdk image set mine .* --trust-checkpoints"):
        bench.run(["/bin/sh"], script, transform={"image": "mine"})
    bench.images["mine"] = ImageTarget(cwd=tmp_path / "image", trusts_checkpoints=True)
    with pytest.raises(UserCodeFailed) as failed:
        bench.run(["/bin/sh"], script, transform={"image": "mine"})
    assert "hint" not in str(failed.value)


def test_the_cause_comes_first():
    lines = LastLines()
    for line in (
        "Traceback (most recent call last):",
        '  File "x.py", line 1',
        "ValueError: no rows",
        "UserWarning: old",
    ):
        lines.add("stderr", line)
    assert lines.explain("exit status 1").splitlines() == [
        "exit status 1: ValueError: no rows",
        "UserWarning: old",
        "before that: Traceback (most recent call last):",
        '  File "x.py", line 1',
    ]


def secret_file(**data):
    return json.dumps({"kind": "Secret", "metadata": {"name": "s"}, "stringData": data}).encode()


def test_a_secret_becomes_a_variable(bench):
    bench.secrets.create_secret(secret_file(token="t0ps3cret"))
    out = bench.run(
        ["/bin/sh"],
        ['printf %s "$TOKEN" > "$PFS_ROOT/out/token"'],
        transform={"secrets": [{"name": "s", "key": "token", "env_var": "TOKEN"}]},
    )
    assert out == {"token": "t0ps3cret"}


@needs_namespaces
def test_a_secret_becomes_files(bench):
    bench.secrets.create_secret(secret_file(token="t0ps3cret", other="x"))
    out = bench.run(
        ["/bin/sh"],
        ["cp /etc/my-secret/* /pfs/out", "echo y > /etc/my-secret/new || echo read-only"],
        transform={"secrets": [{"name": "s", "mount_path": "/etc/my-secret"}]},
    )
    assert out == {"token": "t0ps3cret", "other": "x"}
    assert "read-only" in bench.log.lines
    assert not Path("/etc/my-secret").exists()


def test_without_namespaces_pfs_root_says_where_pfs_is(bench):
    bench.no_namespace = "switched off"
    out = bench.run(["/bin/sh"], ['test ! -e /pfs && cp "$data" "$PFS_ROOT/out/copy"'])
    assert out == {"copy": "/a/b"}
    bench.secrets.create_secret(secret_file(token="x"))
    with pytest.raises(FailedPrecondition, match="switched off"):
        bench.run(["true"], transform={"secrets": [{"name": "s", "mount_path": "/etc/x"}]})


def test_no_scratch_folder_is_left(bench):
    with pytest.raises(UserCodeFailed):
        bench.run(["false"])
    assert list((bench.root / "scratch").iterdir()) == []


def test_the_cause_is_bounded():
    lines = LastLines()
    for number in range(1000):
        lines.add("stderr", f"{number} " + "x" * 500)
    text = lines.explain("exit status 1")
    assert len(text) < 2100
    assert "999 x" in text
    assert LastLines().explain("exit status 1") == "exit status 1, nothing was printed"


def test_a_signal_is_named():
    assert exit_text(-9) == "ended by signal 9 (killed: out of memory?)"
    assert exit_text(-11) == "ended by signal 11"
    assert exit_text(2) == "exit status 2"
