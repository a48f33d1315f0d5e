"""The output of a training pipeline, written by hand: the files of a checkpoint and model-info.yaml."""

import json
from pathlib import Path

import yaml

TRAIN_JOB = "0123456789abcdef0123456789abcdef"


def write_model_info(folder: Path, number: int = 3, **changes):
    document = {
        "name": "customer-churn",
        "version": number,
        "version_name": TRAIN_JOB,
        "pipeline": "customer-churn-train",
        "repo": "customer-churn-data",
        "data_commit": TRAIN_JOB,
        "code_commit": "5a5a5a5",
        "experiment_id": 11,
        "checkpoint": "0c0ffee0-0000-4000-8000-000000000000",
    }
    document = {k: v for k, v in {**document, **changes}.items() if v is not None}
    (folder / "model-info.yaml").write_text(yaml.safe_dump(document))
    return folder


def write_files(folder: Path, files):
    """Write {path: text, bytes or JSON value} below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
