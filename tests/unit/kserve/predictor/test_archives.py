"""Hostile and broken archives are refused before TorchServe sees them."""

import json
import stat
import zipfile

import pytest

from pdk.kserve.predictor.archives import check_archive
from pdk.kserve.predictor.failures import ModelLoadFailed
from pdk.kserve.predictor.probes import Probe

MANIFEST = {"model": {"modelName": "churn", "modelVersion": "3", "handler": "handler.py"}}


def write(tmp_path, entries=None, manifest=MANIFEST, packing=zipfile.ZIP_DEFLATED):
    path = tmp_path / "churn.mar"
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest) if isinstance(manifest, dict) else manifest)
        for name, data in ({"handler.py": b"pass"} | (entries or {})).items():
            archive.writestr(name, data)
    return path


def refused(path, max_bytes=1 << 30):
    with pytest.raises(ModelLoadFailed) as caught:
        check_archive(path, max_bytes)
    return str(caught.value)


def test_a_good_archive(tmp_path):
    assert check_archive(write(tmp_path), 1 << 20) is None


def test_handlers_with_entry_point_and_built_in_ones(tmp_path):
    for handler in ("handler.py:entry", "image_classifier"):
        manifest = {"model": {**MANIFEST["model"], "handler": handler}}
        assert check_archive(write(tmp_path, {"probe.json": '{"instances": [1]}'}, manifest), 1 << 20) == Probe(
            {"instances": [1]}
        )


@pytest.mark.parametrize("name", ["../evil.py", "/etc/cron.d/x", "a/../../x", "..\\evil"])
def test_entries_that_leave_the_folder(tmp_path, name):
    assert "leaves the model folder" in refused(write(tmp_path, {name: b"x"}))


def test_symbolic_links(tmp_path):
    path = write(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "symbolic link" in refused(path)


def test_size_bombs(tmp_path):
    path = write(tmp_path, {"zeros": b"\0" * (20 << 20)})
    assert "over 1000 times" in refused(path)
    assert "more than 1048576" in refused(path, 1 << 20)


def test_not_a_zip_and_a_cut_off_one(tmp_path):
    path = tmp_path / "x.mar"
    path.write_bytes(b"not a zip")
    assert "not a readable model archive" in refused(path)
    whole = write(tmp_path, {"weights": bytes(range(256)) * 100}).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "not a readable model archive" in refused(path)


@pytest.mark.parametrize("name", ["MAR-INF/MANIFEST.json", "handler.py", "weights.pt"])
@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_one_damaged_byte_of_any_entry(tmp_path, name, packing):
    path = write(tmp_path, {"weights.pt": bytes(range(256)) * 10}, packing=packing)
    check_archive(path, 1 << 20)
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(name)
        # After the local header (30 bytes and the name), the middle of what is stored.
        raw[entry.header_offset + 30 + len(name) + entry.compress_size // 2] ^= 0xFF
    path.write_bytes(bytes(raw))
    assert "churn.mar" in refused(path)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("no json", "is not JSON"),
        ("[]", "must be a JSON object"),
        ({}, "has no model"),
        ({"model": {"modelName": "m", "modelVersion": "1"}}, "has no model.handler"),
        ({"model": {"modelName": "m", "modelVersion": "1", "handler": "other.py"}}, "which is not in the archive"),
    ],
)
def test_manifests(tmp_path, manifest, words):
    assert words in refused(write(tmp_path, manifest=manifest))


def test_without_manifest(tmp_path):
    path = tmp_path / "x.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("handler.py", "pass")
    assert "has no MAR-INF/MANIFEST.json" in refused(path)


def test_the_probe_is_a_request_or_holds_one(tmp_path):
    body = {"instances": [1]}
    assert check_archive(write(tmp_path, {"probe.json": json.dumps(body)}), 1 << 20) == Probe(body)
    wrapped = json.dumps({"request": body, "predictions": [1]})
    assert check_archive(write(tmp_path, {"probe.json": wrapped}), 1 << 20) == Probe(body, [1])
    assert "churn.mar: probe.json must be a V1 request" in refused(write(tmp_path, {"probe.json": '{"inputs": []}'}))
