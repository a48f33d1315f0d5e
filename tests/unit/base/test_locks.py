"""Locks: exclusive, gone with their holder."""

import subprocess
import sys

import pytest

from pdk.base.locks import AlreadyLocked, lock_file


def test_a_lock_is_exclusive_until_it_is_closed(tmp_path):
    path = tmp_path / "a" / "lock"
    with lock_file(path), pytest.raises(AlreadyLocked, match=str(path)):
        lock_file(path)
    lock_file(path).close()


def test_a_killed_holder_holds_nothing(tmp_path):
    imports = "from pathlib import Path; from pdk.base.locks import lock_file"
    code = f"{imports}; f = lock_file(Path({str(tmp_path / 'l')!r})); print(1, flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    with pytest.raises(AlreadyLocked):
        lock_file(tmp_path / "l")
    holder.kill()
    holder.communicate()
    lock_file(tmp_path / "l").close()
