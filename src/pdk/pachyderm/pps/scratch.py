"""The folders of one try of one datum: `/pfs` with the inputs, home, temp, working folder, mounted secrets.

Called by `user_code`; everything lies below the scratch folder of this pachd, which `Pps.start` empties (what a killed
server left) after it has ended the processes that may still write there.
"""

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Where user code finds its inputs and leaves its output.
PFS = "/pfs"


@dataclass(frozen=True)
class Scratch:
    """The folders of one try; `mounted`: user code sees `pfs` as `/pfs`, in a mount namespace of its own."""

    root: Path
    mounted: bool

    @property
    def pfs_root(self) -> str:
        """The path at which user code sees `pfs`."""
        return PFS if self.mounted else str(self.pfs)

    @property
    def pfs(self) -> Path:
        """Where the inputs and the output are on this machine."""
        return self.root / "pfs"

    @property
    def out(self) -> Path:
        """Where user code leaves its output."""
        return self.pfs / "out"

    @property
    def home(self) -> Path:
        """What HOME says."""
        return self.root / "home"

    @property
    def tmp(self) -> Path:
        """What TMPDIR says."""
        return self.root / "tmp"

    @property
    def work(self) -> Path:
        """The working folder when no image says another."""
        return self.root / "work"

    @property
    def secrets(self) -> Path:
        """One folder per mounted secret."""
        return self.root / "secrets"


@contextlib.contextmanager
def new_scratch(parent: Path, mounted: bool = True) -> Iterator[Scratch]:
    """Make the folders below `parent` (mode 0700) and remove them afterwards."""
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = Scratch(Path(tempfile.mkdtemp(prefix="datum-", dir=parent)), mounted)
    try:
        for folder in (scratch.out, scratch.home, scratch.tmp, scratch.work, scratch.secrets):
            folder.mkdir(parents=True)
        yield scratch
    finally:
        remove_tree(scratch.root)


def copy_folder(source: Path, target: Path, but: Path) -> None:
    """Copy what a folder holds, links as they are; of `but`, which may lie in it, nothing: the copy would never end."""

    def left_out(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder, name) == but]

    shutil.copytree(source.resolve(), target, symlinks=True, ignore=left_out, dirs_exist_ok=True)


def remove_tree(root: Path) -> None:
    """Remove a folder user code wrote to, even where it took away its own write permission."""
    try:
        shutil.rmtree(root)
    except FileNotFoundError:
        return
    except RecursionError:
        # Folders nested a thousand deep; rmtree recurses, rm does not.
        subprocess.run(["/bin/rm", "-rf", "--", str(root)], check=True)
    except PermissionError:
        root.chmod(stat.S_IRWXU)
        for folder, names, _ in os.walk(root):
            for name in names:
                # os.walk descends after this, and never into links.
                if not (path := Path(folder, name)).is_symlink():
                    path.chmod(stat.S_IRWXU)
        shutil.rmtree(root)
