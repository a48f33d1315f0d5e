"""The names that KServe's kinds, its webhooks and its controller share."""

from enum import StrEnum

SERVING_GROUP = "serving.kserve.io"
# The runtime that serves pytorch models, the container of it that answers, and how that is started.
TORCHSERVE = "kserve-torchserve"
CONTAINER = "kserve-container"
TORCHSERVE_ARGS = [
    "torchserve",
    "--start",
    "--model-store=/mnt/models/model-store",
    "--ts-config=/mnt/models/config/config.properties",
]
MODE_ANNOTATION = "serving.kserve.io/deploymentMode"


class DeploymentMode(StrEnum):
    """`status.deploymentMode`."""

    KNATIVE = "Knative"
    STANDARD = "Standard"


# The old names of the deployment modes, which later releases still take.
OLD_MODES = {"Serverless": DeploymentMode.KNATIVE, "RawDeployment": DeploymentMode.STANDARD}
# The predictor's old one-framework fields; admission turns each into `model`.
FRAMEWORKS = (
    "sklearn",
    "xgboost",
    "tensorflow",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
)
