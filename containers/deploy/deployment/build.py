"""The `build` command: a registered checkpoint becomes an archive that is known to answer, stored where KServe reads.

Order matters: everything is made and checked in a scratch folder first, then stored, and `model-info.yaml`, which
lets the next pipeline start, is written last.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import move
from typing import Any

from deployment import archive, staging, storage, torchserve_config
from deployment.errors import InputError
from deployment.modelinfo import FILE_NAME, TrainedModel, read_trained, write_yaml
from deployment.staging import Given, Staged
from deployment.torchserve_config import Serving

PROBE_FILE = "probe.json"


@dataclass(frozen=True)
class BuildOptions:
    """What the command line and the job's environment say. `host` is gcp, aws or None (the output commit); `given` the
    handler and files of a PyTorchTrial without a serving folder.
    """

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
    given: Given | None = None


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
        staged = staging.stage(
            checkpoint, scratch / "staged", options.given, lambda target: archive.script(checkpoint, target)
        )
        made = _make(model, staged, options, scratch)
        say(f"{made.name}: {made.stat().st_size} bytes")
        report = archive.check(
            made, options.served_name, scratch / "gate", staged, batch_size=options.serving.batch_size
        )
        say(_said(report))
        # Inside the archive too: whoever serves it can ask what it answered here, and compare, before traffic moves.
        comparable = archive.comparable(report)
        if comparable is not None:
            archive.add(made, PROBE_FILE, comparable)
        config = scratch / "config.properties"
        config.write_text(
            torchserve_config.render(
                options.served_name, str(model.version), made.name, options.serving, install=bool(staged.requirements)
            ),
            encoding="utf-8",
        )
        uri, digest = _store(made, config, model, options, say)
        build = {"archive": made.name, "archive_sha256": digest, "uri": uri, "envelope": report["envelope"]}
        if staged.requirements is not None:
            build["requirements"] = True
        build["requires_python"] = staged.requires_python()
        document = _model_info(model, build, options)
    (options.output / PROBE_FILE).write_text(json.dumps(report), encoding="utf-8")
    write_yaml(options.output / FILE_NAME, document)
    return document


def _said(report: dict[str, Any]) -> str:
    if "predictions" in report:
        return f"the archive answers, with and without the kserve envelope: {report['predictions'][:-1]}"
    if report["request"] is None:
        return "the archive loads; it has no example (signature.json, sample-request.json), so nothing was asked of it"
    how = "with" if report["envelope"] else "without"
    if report["answer"] is None:
        return f"the archive answers {how} the kserve envelope, otherwise each time or not in JSON: not compared later"
    return f"the archive answers {how} the kserve envelope: {json.dumps(report['answer'])[:2000]}"


def _make(model: TrainedModel, staged: Staged, options: BuildOptions, scratch: Path) -> Path:
    info = {
        "model": model.name,
        "model_version": model.version,
        "version_name": model.version_name,
        "data_commit": model.data_commit,
        "code_commit": model.code_commit,
        "build_job": options.job,
        "handler_version": archive.handler_version(staged),
        "built_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "versions": archive.versions(),
        "requires_python": staged.requires_python(),
        "serving": {
            "max_rows": options.serving.max_rows,
            "max_response_bytes": options.serving.max_response_bytes,
        },
    }
    staged.add("archive_info.json", info)
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


def _model_info(model: TrainedModel, build: Mapping[str, Any], options: BuildOptions) -> dict[str, Any]:
    return {
        **model.document,
        "build": {
            "job": options.job,
            "pipeline": options.pipeline,
            "project": options.project,
            "served_name": options.served_name,
            "batch_size": options.serving.batch_size,
            **build,
        },
    }
