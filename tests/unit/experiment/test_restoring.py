"""The random states in a checkpoint are restored without unpickling what is not known."""

import io
import random

import numpy as np
import restoring
import torch


def test_the_random_states_determined_keeps_can_be_restored_safely():
    state = {"np": np.random.get_state(), "python": random.getstate(), "torch": torch.random.get_rng_state()}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    restoring.allow_restoring()
    buffer.seek(0)
    restored = torch.load(buffer, weights_only=True)
    assert (restored["np"][1] == state["np"][1]).all()
    assert restored["python"] == state["python"]
