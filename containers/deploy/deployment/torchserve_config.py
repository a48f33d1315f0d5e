"""`config.properties` for the TorchServe that serves the archive. Called by `build.py`.

Written for both ends of KServe's torchserve runtime: the shipped 0.9.0 image, whose wrapper reads `inference_address`,
`management_address`, `grpc_inference_port`, `model_store` and `model_snapshot` without defaults and line by line, and
TorchServe 0.12.0, which answers everything with 400 unless token authorization is off. Keys unknown to one of them
are ignored by it.
"""

import json
from dataclasses import dataclass

MODEL_STORE = "/mnt/models/model-store"
# Never 8080 or 8081: in the KServe image those belong to the wrapper in front of TorchServe.
INFERENCE_PORT, MANAGEMENT_PORT, METRICS_PORT = 8085, 8083, 8082
GRPC_INFERENCE_PORT, GRPC_MANAGEMENT_PORT = 7070, 7071


@dataclass(frozen=True)
class Serving:
    """How the model is served.

    Delays and time-outs are TorchServe's: `max_batch_delay` in milliseconds, `response_timeout` in seconds.
    """

    max_rows: int = 10_000
    workers: int = 1
    batch_size: int = 1
    max_batch_delay: int = 5
    response_timeout: int = 120
    job_queue_size: int = 1000
    max_request_bytes: int = 32 * 1024 * 1024
    max_response_bytes: int = 32 * 1024 * 1024


def render(served_name: str, model_version: str, archive_name: str, serving: Serving, *, install: bool = False) -> str:
    """Give the text of config.properties: one `key=value` per line, the snapshot on a single line.

    `install`: TorchServe installs the archive's requirements when it loads the model.
    """
    snapshot = {
        "name": "startup.cfg",
        "modelCount": 1,
        "models": {
            served_name: {
                model_version: {
                    "defaultVersion": True,
                    "marName": archive_name,
                    "minWorkers": serving.workers,
                    "maxWorkers": serving.workers,
                    "batchSize": serving.batch_size,
                    "maxBatchDelay": serving.max_batch_delay,
                    "responseTimeout": serving.response_timeout,
                }
            }
        },
    }
    properties = {
        "inference_address": f"http://0.0.0.0:{INFERENCE_PORT}",
        "management_address": f"http://0.0.0.0:{MANAGEMENT_PORT}",
        "metrics_address": f"http://0.0.0.0:{METRICS_PORT}",
        "grpc_inference_port": GRPC_INFERENCE_PORT,
        "grpc_management_port": GRPC_MANAGEMENT_PORT,
        # Without it TorchServe ignores TS_SERVICE_ENVELOPE, which is how KServe says which protocol it speaks.
        "enable_envvars_config": "true",
        "disable_token_authorization": "true",
        "enable_model_api": "false",
        "enable_metrics_api": "true",
        "metrics_mode": "prometheus",
        "install_py_dep_per_model": "true" if install else "false",
        "job_queue_size": serving.job_queue_size,
        # TorchServe's own limit of 6.5 MB is reached below 5,000 rows of 88 columns.
        "max_request_size": serving.max_request_bytes,
        "max_response_size": serving.max_response_bytes,
        "model_store": MODEL_STORE,
        "model_snapshot": json.dumps(snapshot, separators=(",", ":")),
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())
