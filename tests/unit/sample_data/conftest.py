"""Makes the generator importable the way its command line does: from its own folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3] / "sample-data"))
