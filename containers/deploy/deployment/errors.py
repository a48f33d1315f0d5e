"""The errors of the deploy container.

DeployError              the job fails; the text says what, where and what to do
+- InputError            what the pipeline handed in is missing or malformed
+- ArchiveError          the archive cannot be made, or does not answer
+- StorageError          the model cannot be stored, or is not there after storing
+- ClusterError          the Kubernetes API refused or cannot be reached
+- RolloutError          the cluster took the InferenceService but it does not serve
   +- Superseded         a newer model version is live already
"""


class DeployError(Exception):
    """The job fails with this text as its last line."""


class InputError(DeployError):
    """What the pipeline handed in is missing or malformed."""


class ArchiveError(DeployError):
    """The archive cannot be made, or does not answer."""


class StorageError(DeployError):
    """The model cannot be stored, or is not there after storing."""


class ClusterError(DeployError):
    """The Kubernetes API refused or cannot be reached."""


class RolloutError(DeployError):
    """The cluster took the InferenceService but it does not serve."""


class Superseded(RolloutError):
    """A newer model version is live already; this one was not rolled out."""
