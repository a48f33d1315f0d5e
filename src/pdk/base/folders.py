"""Folders, made durable."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make what was renamed into, or removed from, a folder outlive a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
