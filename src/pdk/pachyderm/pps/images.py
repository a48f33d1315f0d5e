"""What stands in for container images: a folder of this machine and an environment, by image name.

The composition root builds the map and hands it to pps; `user_code` asks it for every datum. Registry, tag and digest
do not matter: `docker.io/x/pdk-train@sha256:..` and `pdk-train:0.1.0` are both `pdk-train`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pdk.process.child import Mount


@dataclass(frozen=True)
class ImageTarget:
    """How to run the commands of one image: working folder, environment on top of the base one, further mounts."""

    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()


def image_name(image: str) -> str:
    """Return an image's name without registry, path, tag and digest."""
    last = image.partition("@")[0].rsplit("/", 1)[-1]
    return last.partition(":")[0]


class ImageMap:
    """Image name (see `image_name`) -> target."""

    def __init__(self, targets: Mapping[str, ImageTarget]) -> None:
        self._targets = dict(targets)

    def resolve(self, image: str) -> ImageTarget | None:
        """Return what stands in for `image`, None when it is not mapped."""
        return self._targets.get(image_name(image))
