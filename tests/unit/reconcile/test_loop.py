"""The work loop: one worker per key, retries, resync."""

import threading
import time

from waiting import wait_until

from pdk.reconcile.changes import Changes
from pdk.reconcile.loop import Reconciler


def test_one_key_is_never_handled_twice_at_once_and_late_signals_are_kept():
    active, most, calls = [0], [0], []
    lock, go_on = threading.Lock(), threading.Event()

    def reconcile(key):
        with lock:
            active[0] += 1
            most[0] = max(most[0], active[0])
        go_on.wait(5)
        with lock:
            active[0] -= 1
            calls.append(key)

    loop = Reconciler("t", reconcile, list, workers=4)
    loop.start()
    loop.enqueue("a")
    wait_until(lambda: active[0] == 1)
    for _ in range(10):
        loop.enqueue("a")
    go_on.set()
    wait_until(lambda: len(calls) == 2)
    loop.enqueue("b")  # after a third "a", if there were one
    wait_until(lambda: "b" in calls)
    loop.stop()
    assert calls == ["a", "a", "b"]
    assert most[0] == 1


def test_a_crash_is_retried_and_another_key_is_not_held_up():
    calls = {"crash": 0, "fine": 0}

    def reconcile(key):
        calls[key] += 1
        if key == "crash" and calls[key] < 2:
            raise ZeroDivisionError

    loop = Reconciler("t", reconcile, list, workers=1)
    loop.start()
    for key in calls:
        loop.enqueue(key)
    wait_until(lambda: calls == {"crash": 2, "fine": 1})
    loop.stop()


def test_resync_finds_keys_nobody_signalled():
    seen = []
    loop = Reconciler("t", lambda key: seen.append(key), lambda: ["x"], resync_seconds=0.05)
    loop.start()
    wait_until(lambda: len(seen) >= 3)
    loop.stop()


def test_returned_delay_means_look_again():
    seen = []
    loop = Reconciler("t", lambda key: seen.append(time.monotonic()) or (0.1 if len(seen) < 2 else None), list)
    loop.start()
    loop.enqueue("k")
    wait_until(lambda: len(seen) == 2)
    loop.stop()
    assert seen[1] - seen[0] >= 0.09


def test_changes_wake_a_waiter():
    changes, state = Changes(), []
    threading.Timer(0.05, lambda: (state.append(1), changes.notify())).start()
    assert changes.wait_for(lambda: list(state), timeout=5) == [1]
    assert changes.wait_for(lambda: None, timeout=0.01) is None
    changes.close()
    assert changes.wait_for(lambda: None) is None
