"""Whole process trees on Linux: identify, find by marker, end.

A child carries the environment variable `PDK_CHILD=<marker>`, and so do its descendants, whatever sessions or groups
they make. That is how a restarted server finds what a killed one left behind. Used by `child` and by servers at
start-up.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARKER_VARIABLE = "PDK_CHILD"


@dataclass(frozen=True)
class Identity:
    """A process that can be told from a later one with the same pid: pid and start time in clock ticks since boot."""

    pid: int
    start_ticks: int


def identify(pid: int) -> Identity | None:
    """Return the identity of the living process `pid`, None when there is none or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else Identity(pid, int(fields[19]))


def is_alive(identity: Identity) -> bool:
    """Tell whether exactly this process still runs."""
    return identify(identity.pid) == identity


def find_marked(matches: Callable[[str], bool]) -> list[int]:
    """Return the pids of this user's processes whose marker satisfies `matches`."""
    needle = f"{MARKER_VARIABLE}=".encode()
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            environ = Path(entry.path, "environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or another user's
        for variable in environ.split(b"\0"):
            if variable.startswith(needle) and matches(variable[len(needle) :].decode(errors="replace")):
                found.append(int(entry.name))
    return found


def signal_pids(pids: list[int], number: int) -> None:
    """Send signal `number` to each pid that still exists."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def signal_group(pid: int, number: int) -> None:
    """Send signal `number` to the process group led by `pid`, if it still has members."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def kill_marked(matches: Callable[[str], bool], timeout: float = 5.0) -> int:
    """SIGKILL every process whose marker satisfies `matches` until none is left; return how many were seen.

    Raises TimeoutError when some survive `timeout` seconds (stuck in the kernel).
    """
    deadline = time.monotonic() + timeout
    seen: set[int] = set()
    while pids := [pid for pid in find_marked(matches) if identify(pid) is not None]:
        seen.update(pids)
        signal_pids(pids, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} survive SIGKILL")
        time.sleep(0.02)
    return len(seen)
