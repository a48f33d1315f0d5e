import dataclasses
import subprocess

import pytest
from train_job import source
from train_job.failure import TrainError

COMMIT = "c" * 32


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with two commits on main, a tag on the first, and a branch with another file."""
    root = tmp_path / "repository"
    code = root / "experiment"
    code.mkdir(parents=True)
    git(root, "init", "--quiet")
    (code / "model.py").write_text("one")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    git(root, "tag", "v1")
    git(root, "checkout", "--quiet", "-b", "other")
    (code / "model.py").write_text("other")
    git(root, "commit", "--quiet", "-am", "other")
    git(root, "checkout", "--quiet", "main")
    (code / "model.py").write_text("two")
    git(root, "commit", "--quiet", "-am", "second")
    return root


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("ref", "content"), [("main", "two"), ("v1", "one"), ("other", "other"), ("main~1", "one")])
def test_a_ref_is_checked_out(repository, scratch, ref, content):
    code = source.get(str(repository), ref, "experiment", scratch)
    assert (code.folder / "model.py").read_text() == content
    assert code.commit == git(repository, "rev-parse", ref)


def test_a_commit_id_and_a_url_without_a_ref(repository, scratch):
    first = git(repository, "rev-parse", "v1")
    assert source.get(repository.as_uri(), first, "experiment", scratch).commit == first
    (scratch / "b").mkdir()
    assert source.get(repository.as_uri(), "", "experiment", scratch / "b").commit == git(
        repository, "rev-parse", "main"
    )


def test_a_local_folder_is_taken_as_it_is(repository, scratch):
    code = source.get(str(repository), "", "experiment", scratch)
    assert code.commit == git(repository, "rev-parse", "HEAD")
    (repository / "experiment" / "model.py").write_text("three")
    assert (code.folder / "model.py").read_text() == "two"  # a copy

    (scratch / "b").mkdir()
    changed = source.get(str(repository), "", "experiment", scratch / "b")
    assert changed.commit == git(repository, "rev-parse", "HEAD") + "-dirty"
    assert (changed.folder / "model.py").read_text() == "three"


def test_a_change_outside_the_folder_does_not_make_it_dirty(repository, scratch):
    (repository / "readme").write_text("x")
    assert not source.get(str(repository), "", "experiment", scratch).commit.endswith("-dirty")


def test_a_folder_git_does_not_know_is_named_by_its_content(tmp_path, scratch):
    folder = tmp_path / "plain" / "experiment"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text("one")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "model.pyc").write_text("cache")
    commits = []
    for i, content in enumerate(("one", "two", "one")):
        (folder / "model.py").write_text(content)
        (scratch / str(i)).mkdir()
        code = source.get(str(folder.parent), "", "experiment", scratch / str(i))
        commits.append(code.commit)
        assert not (code.folder / "__pycache__").exists()
    assert commits[0] == commits[2] != commits[1]
    assert commits[0].startswith("sha256:")


@pytest.mark.parametrize(
    ("url", "ref", "sub_dir", "reason"),
    [
        ("{repository}", "nope", "experiment", "no branch, tag or commit 'nope'"),
        ("{repository}", "main", "nope", "no folder 'nope'"),
        ("{repository}", "", "../scratch", "no folder '../scratch'"),
        ("/no/such/repository", "main", "experiment", "cannot get the code: "),
        ("--upload-pack=/bin/false", "main", "experiment", "may begin with '-'"),
        ("{repository}", "--force", "experiment", "may begin with '-'"),
    ],
)
def test_what_cannot_be_had_is_said(repository, scratch, url, ref, sub_dir, reason):
    with pytest.raises(TrainError, match=reason):
        source.get(url.format(repository=repository), ref, sub_dir, scratch)


def test_a_password_in_the_url_is_not_shown(scratch):
    with pytest.raises(TrainError) as error:
        source.get("file://ann:hunter2@/no/such", "main", "experiment", scratch)
    assert "hunter2" not in str(error.value)


CODE = {"/model_def.py": b"one", "/serving/model.py": b"two"}


def from_pachyderm(settings, commits, scratch, address="pfs://churn/churn-code@master"):
    client = type("Client", (), {"pfs": commits})()
    return source.get_from_pachyderm(dataclasses.replace(settings, code=address), scratch, client)


def test_a_commit_of_pachyderm_is_downloaded_and_named_by_its_id(settings, commits, scratch):
    commits.commits |= {None: (COMMIT, CODE), COMMIT: (COMMIT, CODE)}  # a branch's handle has no id
    code = from_pachyderm(settings, commits, scratch)
    assert code.commit == f"churn/churn-code@{COMMIT}"
    assert {str(path.relative_to(code.folder)) for path in code.folder.rglob("*.py")} == {
        "model_def.py", "serving/model.py",
    }  # fmt: skip
    assert (code.folder / "serving" / "model.py").read_bytes() == b"two"


@pytest.mark.parametrize("path", ["/../model_def.py", "/a/../../b"])
def test_code_stays_in_its_folder(settings, commits, scratch, path):
    commits.commits |= {None: (COMMIT, {path: b"x"}), COMMIT: (COMMIT, {path: b"x"})}
    with pytest.raises(TrainError, match="outside its folder"):
        from_pachyderm(settings, commits, scratch)
    assert not [each for each in scratch.rglob("*") if each.is_file()]


def test_an_address_that_is_none_and_an_empty_commit_are_named(settings, commits, scratch):
    with pytest.raises(TrainError, match="no code address: 'churn-code@master'"):
        from_pachyderm(settings, commits, scratch, "churn-code@master")
    commits.commits |= {None: (COMMIT, {}), COMMIT: (COMMIT, {})}
    with pytest.raises(TrainError, match="the code is empty"):
        from_pachyderm(settings, commits, scratch)
