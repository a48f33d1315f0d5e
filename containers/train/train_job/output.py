"""What the job leaves for the deployment pipeline: ``checkpoint/`` and ``model-info.yaml``."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from determined.experimental.client import Checkpoint
from ruamel.yaml import YAML

from train_job.failure import patiently

logger = logging.getLogger("train")

CHECKPOINT_FOLDER = "checkpoint"
MODEL_INFO = "model-info.yaml"


def write(out: Path, checkpoint: Checkpoint, info: Mapping[str, Any]) -> None:
    """Download the checkpoint, then write the info: a folder with an info in it is complete."""
    folder = out / CHECKPOINT_FOLDER
    out.mkdir(parents=True, exist_ok=True)

    def download() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        checkpoint.download(str(folder))

    patiently(download, "downloading the checkpoint")
    temporary = out / f".{MODEL_INFO}.{os.getpid()}"
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment] # ruamel.yaml declares None only
    writer.dump(dict(info), temporary)
    temporary.replace(out / MODEL_INFO)
    logger.info("wrote %s and %s/ to %s", MODEL_INFO, CHECKPOINT_FOLDER, out)
