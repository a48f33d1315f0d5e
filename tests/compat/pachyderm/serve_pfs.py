"""Serve pfs from a folder until killed: the process the crash tests kill. Prints its port."""

import importlib.util
import sys
import threading
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "support"))  # what conftest imports
spec = importlib.util.spec_from_file_location("pfs_conftest", Path(__file__).with_name("conftest.py"))
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)

server = conftest.PfsServer(Path(sys.argv[1])).start()
sys.stdout.write(f"{server.server.port}\n")
sys.stdout.flush()
threading.Event().wait()
