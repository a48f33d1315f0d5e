"""What a model needs beside the serving image: its `requirements.txt`, installed for the gate. Called by `archive.py`.

As TorchServe does it with `install_py_dep_per_model` and `useVenv`: a virtual environment that sees the packages of the
one around it, so that only what is missing or another version there is installed. It goes with the build's scratch
folder.
"""

import site
import subprocess
import sys
import venv
from pathlib import Path

from deployment.errors import ArchiveError

SECONDS = 900


def interpreter(requirements: Path | None, scratch: Path) -> str:
    """The Python that has what the file names; this one where there is no file. Raises `ArchiveError`."""
    if requirements is None:
        return sys.executable
    folder = scratch / "requirements"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "surrounding.pth").write_text("".join(f"{place}\n" for place in site.getsitepackages()), encoding="utf-8")
    # Paths in the file are relative to it.
    command = [sys.executable, "-m", "pip", "--python", str(python), "--no-input", "--disable-pip-version-check"]
    try:
        result = subprocess.run(
            [*command, "install", "-q", "-r", str(requirements)],
            cwd=requirements.parent,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ArchiveError(
            f"{requirements.name} of the model was not installed within {error.timeout:.0f} s"
        ) from error
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        reasons = [line for line in lines if line.startswith("ERROR")] or lines
        raise ArchiveError(
            f"{requirements.name} of the model cannot be installed, so nothing was stored: " + "\n".join(reasons[-5:])
        )
    return str(python)
