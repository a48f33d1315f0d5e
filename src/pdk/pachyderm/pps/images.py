"""What stands in for container images: a folder of this machine and an environment, by image name.

The composition root builds the map and hands it to pps; `user_code` asks it for every job. An entry may name an image
as closely as it likes: `registry/path/name:tag`, without the tag, `name:tag`, or `name` alone; the closest one counts.
Digests do not matter.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pdk.process.child import Mount


@dataclass(frozen=True)
class ImageTarget:
    """How to run the commands of one image: working folder (copied for each try), environment on top of the base one,
    further mounts. `trusts_checkpoints`: its torch may unpickle them.
    """

    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    trusts_checkpoints: bool = False


def image_names(image: str) -> Iterator[str]:
    """Yield the names an entry for an image may have, the closest first."""
    whole = image.partition("@")[0]
    path, slash, last = whole.rpartition("/")
    name = last.partition(":")[0]
    yield from dict.fromkeys((whole, f"{path}{slash}{name}", last, name))


class ImageMap:
    """Image name (see `image_names`) -> target; `read` is asked each time, so that a change counts at once."""

    def __init__(self, read: Callable[[], Mapping[str, ImageTarget]]) -> None:
        self._read = read

    def resolve(self, image: str) -> ImageTarget | None:
        """Return what stands in for `image`, None when it is not mapped."""
        targets = self._read()
        return next((targets[name] for name in image_names(image) if name in targets), None)
