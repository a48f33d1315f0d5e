import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdk.storage.contents import Content
from pdk.storage.errors import NodeMissing
from pdk.storage.nodes import Nodes
from pdk.storage.pages import DirEntry, FileEntry, FolderPage, Part, decode, encode
from pdk.storage.tree import EMPTY, Trees


def parts(text):
    return (Part("default", Content(len(text), text.encode().ljust(32, b"\0"))),)


@pytest.fixture
def update(storage):
    def update(tree, changes):
        with storage.db.transaction() as conn:
            return storage.trees.update(conn, tree, {p: parts(t) if t is not None else () for p, t in changes.items()})

    return update


def files_of(storage, tree):
    return {
        path: entry.parts[0].content.hash.rstrip(b"\0").decode()
        for path, entry in storage.trees.walk(tree)
        if isinstance(entry, FileEntry)
    }


names = st.sampled_from(["a", "b", "a.b", "a0", "ab", "-", "~"])
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
changes = st.lists(st.dictionaries(paths, st.one_of(st.none(), st.text("xyz", max_size=2)), max_size=6), max_size=6)


@given(changes)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_tree_holds_what_a_dict_would(storage, update, changes):
    tree, model = EMPTY, {}
    for change in changes:
        tree = update(tree, change)
        model = {path: text for path, text in (model | change).items() if text is not None}
        assert files_of(storage, tree) == model
    assert tree == update(EMPTY, model), "equal files must make equal trees, whatever the way there"
    assert storage.trees.root(tree).size == sum(map(len, model.values()))
    assert storage.trees.root(tree).files == len(model)
    walked = [path for path, _ in storage.trees.walk(tree)]
    assert walked == sorted(walked, key=str.encode)


@given(st.dictionaries(paths, st.text("xy", max_size=1)), st.dictionaries(paths, st.text("xy", max_size=1)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_diff_reports_each_changed_file_and_folder_once(storage, update, new, old):
    differences = list(storage.trees.diff(update(EMPTY, new), update(EMPTY, old)))
    found = {path for path, *_ in differences if not path.endswith("/")}
    assert found == {path for path in new.keys() | old.keys() if new.get(path) != old.get(path)}
    folders = {path for path, *_ in differences if path.endswith("/")}
    assert folders == {path[: i + 1] for path in found for i, char in enumerate(path) if char == "/" and i}
    assert [path for path, *_ in differences] == sorted((path for path, *_ in differences), key=str.encode)


def test_a_large_flat_folder_is_paged_and_a_change_costs_little(storage, update):
    model = {f"/data/file-{i:05}.csv": "x" for i in range(20_000)}
    tree = update(EMPTY, model)
    with storage.db.read() as conn:
        before = conn.execute("SELECT count(*), sum(length(body)) FROM tree_nodes").fetchone()
    assert before[0] > 80
    changed = update(tree, {"/data/file-10000.csv": "y", "/data/new": "z"})
    with storage.db.read() as conn:
        after = conn.execute("SELECT count(*), sum(length(body)) FROM tree_nodes").fetchone()
    assert after[0] - before[0] <= 8
    assert after[1] - before[1] < 200_000
    assert [d.path for d in storage.trees.diff(changed, tree)] == ["/data/", "/data/file-10000.csv", "/data/new"]
    assert files_of(storage, changed) == model | {"/data/file-10000.csv": "y", "/data/new": "z"}
    assert update(changed, {"/data/file-10000.csv": "x", "/data/new": None}) == tree


def test_random_changes_to_a_paged_folder(storage, update):
    dice, tree, model = random.Random(3), EMPTY, {}
    for _ in range(12):
        change = {f"/f{dice.randrange(3000)}": dice.choice(["a", "b", None]) for _ in range(dice.choice([1, 20, 900]))}
        tree = update(tree, change)
        model = {path: text for path, text in (model | change).items() if text is not None}
        assert files_of(storage, tree) == model
    assert tree == update(EMPTY, model)
    assert update(tree, dict.fromkeys(model)) == EMPTY


def test_find_and_list(storage, update):
    tree = update(EMPTY, {f"/d/{i:04}": "x" for i in range(1000)} | {"/e": "y"})
    file, folder = storage.trees.find(tree, "/d")
    assert file is None
    assert (folder.key, folder.size, folder.files) == ("d/", 1000, 1000)
    assert storage.trees.find(tree, "/d/0500")[0].key == "0500"
    for missing in ("/d/x", "/x/y", "/e/f", "/d/0500/a"):
        assert storage.trees.find(tree, missing) == (None, None)
    assert [entry.key for entry in storage.trees.entries(folder.root, after="0995")] == ["0996", "0997", "0998", "0999"]
    assert [entry.key for entry in storage.trees.entries(tree)] == ["d/", "e"]
    assert storage.trees.find(EMPTY, "/") == (None, None)


@given(st.sets(paths), st.one_of(paths, paths.map(lambda path: path + "/"), st.sampled_from(["", "/", "/zz"])))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_walking_from_a_path_on(storage, update, present, after):
    tree = update(EMPTY, dict.fromkeys(present, "x"))
    everything = [path for path, _ in storage.trees.walk(tree)]
    assert [path for path, _ in storage.trees.walk(tree, "/", after)] == [path for path in everything if path > after]


def test_pages_read_as_they_were_written():
    folder = DirEntry("d/", 3, 2, b"h" * 32, b"r" * 32)
    file = FileEntry("ü", (Part("t", Content(1, b"c" * 32)), Part("u", Content(0, b"e" * 32, True))))
    page = FolderPage.of(0, [folder, file])
    assert decode(encode(page)) == page
    assert decode(b"L\x00" + bytes(40)) is None


def test_a_missing_or_changed_page_is_noticed(storage, update):
    tree = update(EMPTY, {"/a": "x"})
    with pytest.raises(NodeMissing, match="missing"):
        list(storage.trees.walk(b"?" * 32))
    with storage.db.transaction() as conn:
        conn.execute("UPDATE tree_nodes SET body = x'00'")
    with pytest.raises(NodeMissing, match="corrupt"):
        list(Trees(Nodes(storage.db)).walk(tree))
