"""Model archives (.mar): what must hold before TorchServe may unpack one.

A .mar is a zip from outside. Checked: every entry as it was packed (its checksum), none that leaves the folder, no
link, no size bomb, a manifest that names model, version and handler. A `probe.json` in it is what the controller asks
before traffic moves (see `probes`).
Called by `launch`.
"""

import json
import lzma
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.probes import Probe, parse_probe

MANIFEST = "MAR-INF/MANIFEST.json"
PROBE = "probe.json"
MAX_ENTRIES = 20_000
MAX_METADATA_BYTES = 4 << 20
# Unpacked to packed size of a whole archive; weights are hardly compressible, text seldom beyond 20.
MAX_RATIO = 1000
UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError)


def check_archive(path: Path, max_bytes: int) -> Probe | None:
    """Return the probe of a .mar, None without probe.json.

    Raises ModelLoadFailed, saying what is wrong with which entry, also for more than `max_bytes` unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_entries(path, entries, max_bytes)
            damaged = archive.testzip()
            if damaged is not None:
                raise ModelLoadFailed(f"{path.name}: entry {damaged!r} is damaged: its checksum does not match")
            names = {entry.filename for entry in entries}
            handler = _manifest_handler(path, archive, names)
            probe = _probe(path, archive) if PROBE in names else None
    except UNREADABLE as error:
        raise ModelLoadFailed(f"{path.name} is not a readable model archive: {error}") from error
    # `handler.py:entry` and the built-in names (`image_classifier`) are both legal.
    file = handler.partition(":")[0]
    if file.endswith(".py") and file not in names:
        raise ModelLoadFailed(f"{path.name}: the manifest names handler {file}, which is not in the archive")
    return probe


def _check_entries(path: Path, entries: list[zipfile.ZipInfo], max_bytes: int) -> None:
    if len(entries) > MAX_ENTRIES:
        raise ModelLoadFailed(f"{path.name} has {len(entries)} entries, more than {MAX_ENTRIES}")
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in entry.filename or "\0" in entry.filename:
            raise ModelLoadFailed(f"{path.name}: entry {entry.filename!r} leaves the model folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ModelLoadFailed(f"{path.name}: entry {entry.filename!r} is a symbolic link")
    total = sum(entry.file_size for entry in entries)
    if total > max_bytes:
        raise ModelLoadFailed(f"{path.name} unpacks to {total} bytes, more than {max_bytes}")
    if total > MAX_METADATA_BYTES and total > MAX_RATIO * path.stat().st_size:
        raise ModelLoadFailed(f"{path.name} unpacks to {total} bytes, over {MAX_RATIO} times its size: refused")


def _manifest_handler(path: Path, archive: zipfile.ZipFile, names: set[str]) -> str:
    if MANIFEST not in names:
        raise ModelLoadFailed(f"{path.name} has no {MANIFEST}: build it with torch-model-archiver")
    manifest = _json(path, archive, MANIFEST)
    model = manifest.get("model")
    if not isinstance(model, dict):
        raise ModelLoadFailed(f"{path.name}: {MANIFEST} has no model")
    for key in ("modelName", "modelVersion", "handler"):
        if not isinstance(model.get(key), str) or not model[key]:
            raise ModelLoadFailed(f"{path.name}: {MANIFEST} has no model.{key}")
    return str(model["handler"])


def _probe(path: Path, archive: zipfile.ZipFile) -> Probe:
    try:
        return parse_probe(_json(path, archive, PROBE))
    except ValueError as error:
        raise ModelLoadFailed(f"{path.name}: {PROBE} {error}") from error


def _json(path: Path, archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > MAX_METADATA_BYTES:
        raise ModelLoadFailed(f"{path.name}: {name} is larger than {MAX_METADATA_BYTES} bytes")
    try:
        value = json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise ModelLoadFailed(f"{path.name}: {name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelLoadFailed(f"{path.name}: {name} must be a JSON object")
    return value
