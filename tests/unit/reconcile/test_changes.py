"""The wake-up signal: nothing is missed between looking and waiting, and everybody is let go when the server stops."""

import threading

from pdk.reconcile.changes import Changes


def after(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_a_change_before_the_wait_is_not_missed():
    changes = Changes()
    version = changes.version
    changes.notify()
    assert changes.wait_newer(version, timeout=60) == version + 1


def test_a_waiter_looks_again_after_every_change_until_it_is_content():
    changes, seen = Changes(), []

    def look():
        seen.append(len(seen))
        if len(seen) < 3:
            after(0.01, changes.notify)
        return len(seen) >= 3

    assert changes.wait_for(look, timeout=60) is True
    assert seen == [0, 1, 2]


def test_the_last_value_is_returned_when_time_is_up():
    assert Changes().wait_for(list, timeout=0.0) == []


def test_closing_lets_every_waiter_go_for_good():
    changes = Changes()
    timer = after(0.05, changes.close)
    assert changes.wait_for(lambda: None) is None
    assert changes.closed
    assert changes.wait_newer(changes.version, timeout=60) == changes.version
    timer.join()
