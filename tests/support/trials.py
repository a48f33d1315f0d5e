"""What tests of trials share: Determined's local mode is not made for warm starts, nor for saying why it stopped."""

import pickle
import re

import pytest


def as_another_trials(folder):
    """Make a local checkpoint look like another trial's. All local trials are number 0, and would resume."""
    state = pickle.loads((folder / "trial_state.pkl").read_bytes())
    (folder / "trial_state.pkl").write_bytes(pickle.dumps({**state, "trial_id": 41}))
    return folder.name


def assert_refused(run, reason, caplog):
    """Determined turns InvalidHP into exit code 0, so that there is no retry, and says nothing of the reason."""
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 0
    assert re.search(reason, caplog.text)
