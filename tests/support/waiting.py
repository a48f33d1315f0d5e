"""Waiting for what happens on another thread or in another process: never for a time, always for a condition."""

import threading
import time
from concurrent.futures import Future


def wait_until(condition, timeout=90.0, what="what was waited for", interval=0.02):
    """Return the first true value of `condition()`, asked every `interval` seconds; fail after `timeout` seconds.

    `what` names it in the failure: a text, or a function called then, so that it can show the state that was reached.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(interval)
    return value


def within(timeout, function, *args, **named):
    """Return (or raise) what `function` does on a thread of its own; raise TimeoutError when it takes longer."""
    result = Future()

    def call():
        try:
            result.set_result(function(*args, **named))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller gets it
            result.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return result.result(timeout)
