import hashlib
import itertools
import struct
from types import SimpleNamespace

import pytest

from pdk.pachyderm.pfs.glob import Glob
from pdk.pachyderm.pfs.types import FileInfo, FileType
from pdk.pachyderm.pps import datums
from pdk.pachyderm.pps.datum_values import inputs_from_json, inputs_to_json, make_datum
from pdk.pachyderm.pps.datums import DatumLister, TooManyDatums, plan
from pdk.pachyderm.pps.inputs import parse_input, with_input_defaults
from pdk.pachyderm.values import Commit, Repo


class Files:
    """Stands for pfs: a set of paths per repo; the content of a file is its path."""

    def __init__(self, **repos):
        self.repos = repos

    def files(self, commit):
        return SimpleNamespace(glob=lambda pattern: self.glob(commit, pattern))

    def glob(self, commit, pattern):
        glob = Glob(pattern)
        for path in self.repos[commit.repo.name]:
            if glob.match(path.rstrip("/") or "/"):
                kind = FileType.DIR if path.endswith("/") else FileType.FILE
                yield FileInfo(commit, path, kind, len(path), path.encode())


def pfs(repo, glob="/*", **options):
    return {"pfs": {"repo": repo, "glob": glob, **options}}


def list_datums(node, salt="", **repos):
    commits = {Repo("default", name): Commit(Repo("default", name), f"{name}-id") for name in repos}
    return DatumLister(Files(**repos), commits).list_datums(parse_input(with_input_defaults(node, "default")), salt)


def paths(found):
    return [" ".join(item.path for item in datum.inputs) for datum in found]


def test_every_match_file_or_folder_is_a_datum():
    repo = ["/", "/a", "/dir/", "/dir/b"]
    assert paths(list_datums(pfs("r", "/*"), r=repo)) == ["/a", "/dir/"]
    assert paths(list_datums(pfs("r", "/"), r=repo)) == ["/"]
    assert paths(list_datums(pfs("r", "/"), r=[])) == []


def test_cross_multiplies_and_orders_by_name():
    node = {"cross": [pfs("b"), pfs("a")]}
    assert paths(list_datums(node, a=["/1", "/2"], b=["/x", "/y"])) == ["/1 /x", "/2 /x", "/1 /y", "/2 /y"]
    assert list_datums(node, a=["/1"], b=[]) == []


def test_union_concatenates_and_counts_the_same_datum_once():
    node = {"union": [pfs("a"), pfs("b"), pfs("a")]}
    assert paths(list_datums(node, a=["/1"], b=["/2"])) == ["/1", "/2"]


def test_join_matches_on_captured_keys():
    node = {"join": [pfs("a", "/(*)-l", join_on="$1"), pfs("b", "/(*)-r", join_on="$1")]}
    found = list_datums(node, a=["/1-l", "/2-l"], b=["/2-r", "/3-r"])
    assert paths(found) == ["/2-l /2-r"]
    assert [item.join_on for item in found[0].inputs] == ["2", "2"]


def test_outer_join_keeps_what_found_no_partner():
    node = {"join": [pfs("a", "/(*)-l", join_on="$1", outer_join=True), pfs("b", "/(*)-r", join_on="$1")]}
    assert paths(list_datums(node, a=["/1-l", "/2-l"], b=["/2-r", "/3-r"])) == ["/1-l", "/2-l /2-r"]


def test_group_gathers_by_key():
    node = {"group": [pfs("a", "/(*)-*", group_by="$1")]}
    assert paths(list_datums(node, a=["/x-1", "/y-1", "/x-2"])) == ["/x-1 /x-2", "/y-1"]


def test_datums_have_a_bound(monkeypatch):
    monkeypatch.setattr(datums, "MAX_DATUMS", 5)
    names = ["/1", "/2", "/3"]
    with pytest.raises(TooManyDatums):
        list_datums({"cross": [pfs("a"), pfs("b")]}, a=names, b=names)


def test_the_id_says_which_files_and_the_hash_which_contents():
    (one,) = list_datums(pfs("r"), r=["/a"])
    expected = hashlib.blake2b(digest_size=32)
    for text in (b"r", b"r", b"master", b"/a"):
        expected.update(text + struct.pack(">q", len(text)))
    assert one.id == expected.hexdigest()
    changed = [make_datum([item], salt) for item, salt in itertools.product(one.inputs, ["", "salt"])]
    assert changed[0] == one
    assert changed[1].id == one.id
    assert changed[1].hash != one.hash


def test_the_content_of_a_reference_input_does_not_count():
    node = {"cross": [pfs("a"), pfs("b", reference=True)]}
    (datum,) = list_datums(node, a=["/1"], b=["/x"])
    other = make_datum(
        [item if not item.reference else type(item)(**{**vars(item), "hash": b"other"}) for item in datum.inputs], ""
    )
    assert other.hash == datum.hash


def test_inputs_survive_storage():
    node = {"cross": [pfs("a", empty_files=True), pfs("b", "/(*)", group_by="$1", join_on="$1")]}
    (datum,) = list_datums(node, a=["/1"], b=["/x"])
    assert inputs_from_json(inputs_to_json(datum.inputs)) == datum.inputs


def test_same_id_and_hash_is_skipped_and_the_rest_of_the_base_is_stale():
    found = list_datums(pfs("r"), r=["/same", "/changed", "/new"])
    by_path = {datum.inputs[0].path: datum for datum in found}
    base = {
        by_path["/same"].id: (by_path["/same"].hash, "j1"),
        by_path["/changed"].id: ("old", "j2"),
        "vanished": ("x", "j2"),
    }
    work = plan(found, base, every_job=False)
    assert work.skipped == {by_path["/same"].id: "j1"}
    assert set(work.stale) == {by_path["/changed"].id, "vanished"}
    assert set(plan(found, base, every_job=True).stale) == set(base)
