"""Routes of checkpoints, and the archive of their files."""

import gzip
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from pdk.determined.api import encode
from pdk.determined.api.call import Fields, RestCall, camel_case
from pdk.determined.api.harness import file_sizes
from pdk.determined.errors import InvalidRequest
from pdk.determined.master.master import Master
from pdk.determined.store.checkpoints import CheckpointView
from pdk.determined.store.files import checkpoint_files
from pdk.determined.store.records import JSON, CheckpointUuid, ExperimentId
from pdk.web.routing import Kind, route

CHUNK = 64 * 1024


@route("GET", "/api/v1/checkpoints/{checkpointUuid}", about="one checkpoint with its metrics")
def get_checkpoint(master: Master, call: RestCall) -> JSON:
    """Return v1GetCheckpointResponse."""
    return {"checkpoint": encode.checkpoint(master.checkpoints.get(CheckpointUuid(call.path["checkpointUuid"])))}


@route("POST", "/api/v1/checkpoints/{checkpointUuid}/metadata", about="replace its metadata")
def post_metadata(master: Master, call: RestCall) -> JSON:
    """Return v1PostCheckpointMetadataResponse: replaces the metadata."""
    metadata = call.fields.fields("checkpoint").object("metadata")
    if metadata is None:
        raise InvalidRequest("checkpoint.metadata: is required")
    return {
        "checkpoint": encode.checkpoint(
            master.checkpoints.set_metadata(CheckpointUuid(call.path["checkpointUuid"]), metadata)
        )
    }


@route("DELETE", "/api/v1/checkpoints", about="delete checkpoints that are not registered")
def delete_checkpoints(master: Master, call: RestCall) -> None:
    """Delete checkpoints; their files go soon after."""
    master.checkpoints.delete(_uuids(call.fields))


@route("POST", "/api/v1/checkpoints/rm", about="remove files by glob")
def remove_files(master: Master, call: RestCall) -> None:
    """Remove the files of checkpoints that match one of the globs."""
    fields = call.fields
    master.checkpoints.remove_files(_uuids(fields), fields.texts("checkpointGlobs") or [])


@route("PATCH", "/api/v1/checkpoints", about="report which files are left")
def patch_checkpoints(master: Master, call: RestCall) -> None:
    """Take the files that are left after the client removed some."""
    for each in call.fields.objects("checkpoints"):
        resources = each.fields("resources").object("resources")
        if resources is not None:
            master.checkpoints.set_resources(CheckpointUuid(each.required("uuid")), file_sizes(resources))


@route("GET", "/experiments/{experimentId}/preview_gc", about="what a gc policy would remove")
def preview_gc(master: Master, call: RestCall) -> JSON:
    """GET /experiments/{id}/preview_gc: what a policy would remove, in the shape the command line reads."""
    names = ("save_experiment_best", "save_trial_best", "save_trial_latest")
    policy = {name: max(0, call.number(camel_case(name))) for name in names}
    metric, views = master.checkpoints.unwanted(call.id("experimentId", ExperimentId), policy)
    return {"metric_name": metric, "checkpoints": [_previewed(view) for view in views]}


def _previewed(view: CheckpointView) -> JSON:
    checkpoint = view.checkpoint
    return {
        "TrialID": checkpoint.trial_id,
        "StepsCompleted": checkpoint.steps_completed,
        "State": checkpoint.state,
        "ValidationMetrics": view.validation or {},
        "UUID": checkpoint.uuid,
        "Resources": encode.resources(checkpoint),
        "ReportTime": checkpoint.report_time,
    }


@route("GET", "/checkpoints/{checkpointUuid}", about="its files as tar.gz, tar or zip", kind=Kind.FILE)
def archive(master: Master, call: RestCall) -> tuple[str, str, Iterator[bytes]]:
    """GET /checkpoints/{uuid}: the files as .tar.gz, .tar or .zip; returns (media type, file name, content)."""
    uuid = CheckpointUuid(call.path["checkpointUuid"])
    folder = master.checkpoints.folder(uuid)
    for media_type, (suffix, write) in FORMATS.items():
        if media_type in call.accept or call.accept in ("", "*/*"):
            return media_type, f"{uuid}{suffix}", streamed(folder, write)
    raise InvalidRequest(f"Accept: must be one of {', '.join(FORMATS)}, not {call.accept[:80]}")


def _uuids(fields: Fields) -> list[CheckpointUuid]:
    return [CheckpointUuid(each) for each in fields.texts("checkpointUuids") or []]


def write_tar_gz(folder: Path, target: IO[bytes]) -> None:
    """Write a .tar.gz; quick compression, weights hardly shrink."""
    with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1) as zipped:
        write_tar(folder, zipped)


def write_tar(folder: Path, target: IO[bytes] | gzip.GzipFile) -> None:
    """Write an archive that is streamed: its length is never known in advance."""
    with tarfile.open(fileobj=target, mode="w|") as archive_file:
        _add(folder, archive_file)


def write_zip(folder: Path, target: IO[bytes]) -> None:
    """Write the files uncompressed, as weights hardly shrink."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive_file:
        for name, path in checkpoint_files(folder):
            archive_file.write(path, name)


FORMATS: dict[str, tuple[str, Callable[[Path, IO[bytes]], None]]] = {
    "application/gzip": (".tar.gz", write_tar_gz),
    "application/x-tar": (".tar", write_tar),
    "application/zip": (".zip", write_zip),
}


def streamed(folder: Path, write: Callable[[Path, IO[bytes]], None]) -> Iterator[bytes]:
    """Yield an archive in pieces while a thread writes it into a pipe; a reader that goes away ends the writer."""
    receive, send = os.pipe()
    failures: list[Exception] = []

    def run() -> None:
        # BrokenPipeError: the client went away, nobody wants the rest.
        try:
            with suppress(BrokenPipeError), os.fdopen(send, "wb") as target:
                write(folder, target)
        except Exception as error:  # noqa: BLE001 - raised again where the reader is
            failures.append(error)

    writer = threading.Thread(target=run, name="archive", daemon=True)
    writer.start()
    with os.fdopen(receive, "rb", buffering=0) as source:
        while chunk := source.read(CHUNK):
            yield chunk
    writer.join()
    if failures:
        raise failures[0]


def _add(folder: Path, archive_file: tarfile.TarFile) -> None:
    for name, path in checkpoint_files(folder):
        archive_file.add(path, name.rstrip("/"), recursive=False)
