"""Datums as values: id, hash, and the JSON their inputs are stored as. Mirrors `worker/common` of the original."""

import hashlib
import json
import struct
from collections.abc import Iterable, Sequence

from pdk.pachyderm.pfs.types import FileInfo, FileType
from pdk.pachyderm.pps.types import Datum, DatumInput
from pdk.pachyderm.values import Commit, DatumId, Repo

_HASH_BYTES = 32


def datum_id(inputs: Iterable[DatumInput]) -> DatumId:
    """Return the id: hex BLAKE2b-256 over name, repo, branch and path of each input, each followed by its length."""
    state = hashlib.blake2b(digest_size=_HASH_BYTES)
    for item in inputs:
        for text in (item.name, item.commit.repo.name, item.branch, item.path):
            data = text.encode()
            state.update(data + struct.pack(">q", len(data)))
    return DatumId(state.hexdigest())


def datum_hash(identity: DatumId, inputs: Iterable[DatumInput], salt: str) -> str:
    """Return the hash that decides about skipping: over id, contents of all but `reference` inputs, pipeline salt."""
    state = hashlib.blake2b(identity.encode(), digest_size=_HASH_BYTES)
    for item in inputs:
        if not item.reference:
            state.update(item.hash)
    state.update(salt.encode())
    return state.hexdigest()


def make_datum(inputs: Iterable[DatumInput], salt: str) -> Datum:
    """Return the datum of these inputs, ordered by name."""
    ordered = tuple(sorted(inputs, key=lambda item: (item.name, item.path)))
    identity = datum_id(ordered)
    return Datum(identity, datum_hash(identity, ordered, salt), ordered)


def inputs_to_json(inputs: Iterable[DatumInput]) -> str:
    """Return the text a datum's inputs are stored as."""
    return json.dumps(
        [
            {
                "name": item.name,
                "repo": [item.commit.repo.project, item.commit.repo.name, item.commit.repo.type],
                "commit": item.commit.id,
                "branch": item.branch,
                "path": item.path,
                "hash": item.hash.hex(),
                "size": item.size_bytes,
                "empty_files": item.empty_files,
                "reference": item.reference,
                "join_on": item.join_on,
                "group_by": item.group_by,
            }
            for item in inputs
        ],
        separators=(",", ":"),
    )


def inputs_from_json(text: str) -> tuple[DatumInput, ...]:
    """Read what `inputs_to_json` wrote."""
    return tuple(
        DatumInput(
            name=item["name"],
            commit=Commit(Repo(*item["repo"]), item["commit"]),
            branch=item["branch"],
            path=item["path"],
            hash=bytes.fromhex(item["hash"]),
            size_bytes=item["size"],
            empty_files=item["empty_files"],
            reference=item["reference"],
            join_on=item["join_on"],
            group_by=item["group_by"],
        )
        for item in json.loads(text)
    )


def names_inputs(data_filters: Iterable[str], inputs: Sequence[DatumInput]) -> bool:
    """Tell whether each data filter names one of the inputs: its path, or its hash in hex."""
    return all(
        any(text.strip("/") == item.path.strip("/") or text == item.hash.hex() for item in inputs)
        for text in data_filters
    )


def file_infos(inputs: Iterable[DatumInput]) -> tuple[FileInfo, ...]:
    """Return the files and folders of a datum as `DatumInfo.data` shows them."""
    return tuple(
        FileInfo(
            item.commit,
            item.path,
            FileType.DIR if item.path.endswith("/") else FileType.FILE,
            item.size_bytes,
            item.hash,
        )
        for item in inputs
    )
