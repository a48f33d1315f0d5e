"""Model definitions and checkpoint folders on disk."""

import stat

import pytest

from pdk.determined.store.files import ModelDefinitions, checkpoint_files, remove_checkpoint_files


def test_definitions_are_stored_once_and_read_only(tmp_path):
    definitions = ModelDefinitions(tmp_path / "definitions")
    digest = definitions.put(b"code")
    assert definitions.put(b"code") == digest
    assert definitions.get(digest) == b"code"
    assert [p.name for p in (tmp_path / "definitions").iterdir()] == [f"{digest}.tar.gz"]
    assert not definitions.path(digest).stat().st_mode & stat.S_IWUSR
    definitions.remove(digest)
    definitions.remove(digest)
    with pytest.raises(FileNotFoundError):
        definitions.get(digest)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "checkpoint"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "model.py").write_text("x")
    (folder / "weights").write_text("123")
    (tmp_path / "secret").write_text("not yours")
    (folder / "secret").symlink_to(tmp_path / "secret")
    (folder / "outside").symlink_to(tmp_path)
    return folder


def test_links_are_left_out(folder):
    assert [name for name, _ in checkpoint_files(folder)] == ["code/", "weights", "code/model.py"]


def test_removing_some_files(folder, tmp_path):
    remove_checkpoint_files(folder, ["code/", "code/model.py", "secret", "../secret", "no such"])
    assert sorted(p.name for p in folder.iterdir()) == ["outside", "secret", "weights"]
    assert (tmp_path / "secret").read_text() == "not yours"


def test_a_folder_with_files_left_stays(folder):
    remove_checkpoint_files(folder, ["code/"])
    assert (folder / "code" / "model.py").exists()


def test_removing_everything_twice(folder, tmp_path):
    remove_checkpoint_files(folder)
    remove_checkpoint_files(folder)
    assert not folder.exists()
    assert (tmp_path / "secret").exists()
