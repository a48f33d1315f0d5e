"""A model's folder as a commit: its code goes to the cluster the way its data does.

One commit holds the whole folder, so what a version was trained with can be read back by the commit's id.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from pdk.base.errors import InvalidArgument

# No code: what tools leave, and what is made from model.yaml.
LEFT_OUT = {"__pycache__", "pipelines", "node_modules"}
# Determined takes 95 MiB of code at the most.
LARGEST_FILE = 20 * 1024**2
LARGEST = 90 * 1024**2


def collect(folder: Path) -> dict[str, bytes]:
    """Return the folder's files by path, hidden ones and what tools leave not included.

    Raises InvalidArgument for a link that leads out of the folder and for what is too large to be code.
    """
    root = folder.resolve()
    files: dict[str, bytes] = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if any(part in LEFT_OUT or part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        files[relative.as_posix()] = _read(path, root)
    if sum(map(len, files.values())) > LARGEST:
        raise InvalidArgument(f"{folder} holds more than {LARGEST} bytes: data belongs into the data repo")
    return files


def _read(path: Path, root: Path) -> bytes:
    if not path.resolve().is_relative_to(root):
        raise InvalidArgument(f"{path} is a link that leads out of the folder: put the file itself there")
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise InvalidArgument(
            f"{path} has {size} bytes, too many for code: data belongs into the data repo (pdk put file), not into the "
            "model's folder"
        )
    return path.read_bytes()


def repo(project: str, name: str) -> pfs.Repo:
    """Return the message for a repo's name."""
    return pfs.Repo(name=name, type="user", project=pfs.Project(name=project))


def commit(client: Client, project: str, name: str, files: Mapping[str, bytes]) -> str:
    """Commit the files to the repo's master unless its head holds just them; say which commit has them."""
    handle = repo(project, name)
    head = pfs.Commit(repo=handle, branch=pfs.Branch(repo=handle, name="master"))
    if _content(client, head) == files:
        return f"pachyderm   code is there: {name}@{client.pfs.inspect_commit(commit=head).commit.id}"

    def requests() -> Iterator[pfs.ModifyFileRequest]:
        yield pfs.ModifyFileRequest(set_commit=head)
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/"))
        for path, content in files.items():
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{path}", raw=content))

    client.pfs.modify_file(requests())
    return f"pachyderm   code committed: {name}@{client.pfs.inspect_commit(commit=head).commit.id}"


def _content(client: Client, head: pfs.Commit) -> dict[str, bytes] | None:
    """What the head holds, by path; None where there is no head."""
    try:
        infos = list(client.pfs.walk_file(file=pfs.File(commit=head, path="/")))
    except grpc.RpcError as error:
        if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN):  # type: ignore[attr-defined]
            return None
        raise
    content = {}
    for info in infos:
        if info.file_type == pfs.FileType.FILE:
            with client.pfs.pfs_file(file=info.file) as remote:
                content[info.file.path.removeprefix("/")] = remote.read()
    return content
