"""The pictures of the documents are those a script draws from the imports and the pipeline specs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pictures_show_the_house_and_the_loop_of_today():
    command = [sys.executable, ROOT / "scripts" / "draw_pictures.py", "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
