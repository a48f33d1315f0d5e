"""The `build` command: a registered checkpoint becomes an archive that is known to answer, stored where KServe reads.

Order matters: everything is made and checked in a scratch folder first, then stored, and `model-info.yaml`, which
lets the next pipeline start, is written last.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import move
from typing import Any

from deployment import archive, storage, torchserve_config
from deployment.errors import InputError
from deployment.modelinfo import FILE_NAME, TrainedModel, read_trained, write_yaml
from deployment.torchserve_config import Serving

PROBE_FILE = "probe.json"


@dataclass(frozen=True)
class BuildOptions:
    """What the command line and the job's environment say. `host` is gcp, aws or None (the output commit)."""

    source: Path
    output: Path
    served_name: str
    job: str
    pipeline: str
    project: str
    host: str | None
    bucket: str | None
    credentials_file: str | None
    serving: Serving


def run(options: BuildOptions, say: Callable[[str], None]) -> dict[str, Any]:
    """Build, check and store the model; gives the document written to model-info.yaml. Raises `DeployError`."""
    model = read_trained(options.source)
    checkpoint = options.source / "checkpoint"
    if not checkpoint.is_dir():
        raise InputError(f"{checkpoint} is missing: the training job writes the checkpoint there; look at its log")
    say(
        f"model {model.name} version {model.version} ({model.version_name}), trained on data commit {model.data_commit}"
    )
    with tempfile.TemporaryDirectory(prefix="deploy-") as name:
        scratch = Path(name)
        made = _make(model, checkpoint, options, scratch)
        say(f"{made.name}: {made.stat().st_size} bytes")
        report = archive.check(made, options.served_name, scratch / "gate")
        say(f"the archive answers, with and without the kserve envelope: {report['predictions'][:-1]}")
        # Inside the archive too: whoever serves it can ask what it answered here, and compare, before traffic moves.
        archive.add(made, PROBE_FILE, archive.comparable(report))
        config = scratch / "config.properties"
        config.write_text(
            torchserve_config.render(options.served_name, str(model.version), made.name, options.serving),
            encoding="utf-8",
        )
        uri, digest = _store(made, config, model, options, say)
        document = _model_info(model, made.name, digest, uri, options)
    (options.output / PROBE_FILE).write_text(json.dumps(report), encoding="utf-8")
    write_yaml(options.output / FILE_NAME, document)
    return document


def _make(model: TrainedModel, checkpoint: Path, options: BuildOptions, scratch: Path) -> Path:
    info = {
        "model": model.name,
        "model_version": model.version,
        "version_name": model.version_name,
        "data_commit": model.data_commit,
        "code_commit": model.code_commit,
        "build_job": options.job,
        "handler_version": archive.handler_version(),
        "built_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "versions": archive.versions(),
        "serving": {
            "max_rows": options.serving.max_rows,
            "max_response_bytes": options.serving.max_response_bytes,
        },
    }
    staged = scratch / "staged"
    archive.stage(checkpoint, staged, {"archive_info.json": info})
    made = archive.pack(staged, options.served_name, str(model.version), scratch / "packed")
    return Path(move(made, scratch / f"{options.served_name}-v{model.version}.mar"))


def _store(
    made: Path, config: Path, model: TrainedModel, options: BuildOptions, say: Callable[[str], None]
) -> tuple[str, str]:
    """Store the two files; gives the storageUri of a bucket, or "" for the output commit, and the archive's SHA-256.

    The digest is the one of the archive that is stored: an earlier try of this job may have stored its own.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    if options.host is None or options.bucket is None:
        storage.save_to_folder(options.output / options.served_name, made, config)
        say(f"stored in the output commit, below {options.served_name}/")
        return "", archive.sha256(made)
    prefix = storage.bucket_prefix(options.served_name, model.version, options.job)
    uri = storage.bucket_uri(options.host, options.bucket, prefix)
    bucket = storage.open_bucket(options.host, options.bucket, options.credentials_file)
    digest = storage.stored_digest(bucket, prefix)
    if digest is not None:
        say(f"{uri} was completed by an earlier try of this job and is left as it is")
        return uri, digest
    digest = archive.sha256(made)
    storage.save_to_bucket(bucket, prefix, made, config, digest)
    say(f"uploaded to {uri}")
    return uri, digest


def _model_info(model: TrainedModel, name: str, digest: str, uri: str, options: BuildOptions) -> dict[str, Any]:
    return {
        **model.document,
        "build": {
            "job": options.job,
            "pipeline": options.pipeline,
            "project": options.project,
            "served_name": options.served_name,
            "archive": name,
            "archive_sha256": digest,
            "batch_size": options.serving.batch_size,
            "uri": uri,
        },
    }
