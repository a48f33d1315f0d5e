"""The file methods of `pfs_v2.API`. Only translates. Mirrors pachd's `api_server.go` (modifyFile, getFile ...)."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol

from betterproto.lib.google.protobuf import BytesValue
from pachyderm_sdk.api import pfs

from pdk.base.errors import InvalidArgument, Unimplemented
from pdk.pachyderm.api.fields import has, which, wrapped
from pdk.pachyderm.api.messages import Messages, commit_of, require
from pdk.pachyderm.api.server import RpcCall, rpc
from pdk.pachyderm.api.urls import read_url
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.files import Files
from pdk.pachyderm.pfs.tar import tar_stream
from pdk.pachyderm.pfs.types import DEFAULT_DATUM, FileInfo
from pdk.pachyderm.pfs.writer import FileWriter

# How much of a file goes into one message, about; clients accept 20 MiB.
CHUNK_BYTES = 1 << 20


class _OfFile(Protocol):
    """A request about a file."""

    file: pfs.File


class FileService:
    """The handlers of files."""

    service = "pfs_v2.API"

    def __init__(self, wire: Wire, pfs: Pfs) -> None:
        self._wire = wire
        self._pfs = pfs
        self._messages = Messages(wire)

    # Writing

    @rpc("ModifyFile")
    def modify_file(self, requests: Iterator[pfs.ModifyFileRequest], call: RpcCall) -> None:
        """Change the files of a commit; all or nothing, at the end of the stream."""
        first = next(requests, None)
        if first is None or which(first, "body") != "set_commit":
            raise InvalidArgument("first message must be a commit")
        writer = self._pfs.modify_file(commit_of(first.set_commit))
        try:
            for request in requests:
                self._modify(writer, request)
        except BaseException:
            writer.abort()
            raise
        if call.broke_off():
            writer.abort()
        else:
            writer.close()

    def _modify(self, writer: FileWriter, request: pfs.ModifyFileRequest) -> None:
        match which(request, "body"):
            case "add_file":
                self._add(writer, request.add_file)
            case "delete_file":
                writer.delete(request.delete_file.path, request.delete_file.datum or DEFAULT_DATUM)
            case "copy_file":
                copy = request.copy_file
                require(copy, "src")
                source = self._pfs.files(self._pfs.resolve(commit_of(copy.src.commit)))
                writer.copy(copy.dst, source, copy.src.path, copy.datum or DEFAULT_DATUM, copy.append)
            case "set_commit":
                raise InvalidArgument("cannot set commit")
            case _:
                raise InvalidArgument("validate request: a ModifyFileRequest must have a body")

    def _add(self, writer: FileWriter, add: pfs.AddFile) -> None:
        datum = add.datum or DEFAULT_DATUM
        if which(add, "source") != "url":
            writer.append(add.path, wrapped(add, "raw"), datum)
        elif add.url.recursive:
            raise Unimplemented("adding files from a URL recursively is not implemented")
        else:
            for chunk in read_url(add.url.url):
                writer.append(add.path, chunk, datum)

    # Reading

    @rpc("GetFile")
    def get_file(self, request: pfs.GetFileRequest, call: RpcCall) -> Iterator[BytesValue]:
        """Send the content of the one file that a pattern matches."""
        if request.url:
            raise Unimplemented("getting files to a URL is not implemented")
        if request.offset < 0:
            raise InvalidArgument(f"validate request: offset {request.offset} is negative")
        files = self._files(request, call)
        return self._send(files.read(files.find_one(request.file.path), request.offset))

    @rpc("GetFileTAR")
    def get_file_tar(self, request: pfs.GetFileRequest, call: RpcCall) -> Iterator[BytesValue]:
        """Send everything that a pattern matches as a tar."""
        if request.url:
            raise Unimplemented("getting files to a URL is not implemented")
        files = self._files(request, call)
        files.find_any(request.file.path)
        return self._send(tar_stream(files, request.file.path))

    def _send(self, pieces: Iterable[bytes]) -> Iterator[BytesValue]:
        return (self._wire[BytesValue](value=chunk) for chunk in _regroup(pieces))

    @rpc("InspectFile")
    def inspect_file(self, request: pfs.InspectFileRequest, call: RpcCall) -> pfs.FileInfo:
        """Describe a file or folder."""
        return self._messages.file_info(self._files(request, call).inspect(request.file.path))

    @rpc("ListFile")
    def list_file(self, request: pfs.ListFileRequest, call: RpcCall) -> Iterator[pfs.FileInfo]:
        """Describe what lies directly in a folder."""
        files, marker = self._files(request, call), request.pagination_marker.path
        return self._infos(files.list(request.file.path, marker, request.number, request.reverse))

    @rpc("WalkFile")
    def walk_file(self, request: pfs.WalkFileRequest, call: RpcCall) -> Iterator[pfs.FileInfo]:
        """Describe a folder and everything below it."""
        if request.reverse:
            raise Unimplemented("walking in reverse is not implemented")
        infos = self._files(request, call).walk(request.file.path, request.pagination_marker.path)
        return self._infos(islice(infos, request.number or None))

    @rpc("GlobFile")
    def glob_file(self, request: pfs.GlobFileRequest, call: RpcCall) -> Iterator[pfs.FileInfo]:
        """Describe the files and folders whose path matches, perhaps only those in a range of paths."""
        require(request, "commit")
        files = self._pfs.files(self._pfs.resolve(commit_of(request.commit)), call.cancelled)
        lower, upper = request.path_range.lower, request.path_range.upper
        infos = files.glob(request.pattern)
        return self._infos(info for info in infos if lower <= info.path and (not upper or info.path < upper))

    @rpc("DiffFile")
    def diff_file(self, request: pfs.DiffFileRequest, call: RpcCall) -> Iterator[pfs.DiffFileResponse]:
        """Describe what differs between two commits below a path; by default between a commit and its parent."""
        require(request, "new_file")
        new = self._pfs.resolve(commit_of(request.new_file.commit))
        path = request.new_file.path
        if has(request, "old_file") and has(request.old_file, "commit"):
            old = self._pfs.resolve(commit_of(request.old_file.commit))
            diffs = self._pfs.diff_file(new, path, old, request.old_file.path or "/")
        else:
            diffs = self._pfs.diff_file(new, path)
        return map(self._messages.file_diff, diffs)

    def _infos(self, infos: Iterable[FileInfo]) -> Iterator[pfs.FileInfo]:
        return map(self._messages.file_info, infos)

    def _files(self, request: _OfFile, call: RpcCall) -> Files:
        require(request, "file")
        return self._pfs.files(self._pfs.resolve(commit_of(request.file.commit)), call.cancelled)


def _regroup(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield small pieces joined, so that many small files are not as many messages; an empty one for none."""
    buffer, sent = bytearray(), False
    for piece in pieces:
        if buffer and len(buffer) + len(piece) > CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
            sent = True
        buffer += piece
    if buffer or not sent:
        yield bytes(buffer)
