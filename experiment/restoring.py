"""Lets torch restore Determined's checkpoints; every PyTorchTrial that may go on from one calls it first."""

from __future__ import annotations

import numpy as np
import torch


def allow_restoring() -> None:
    """Let torch 2.6 and later restore Determined's checkpoints without unpickling arbitrary objects.

    Determined calls ``torch.load`` without ``weights_only``, which torch 2.6 turned on by default; numpy's random
    state, which is in every checkpoint, is then refused unless its types are named.
    """
    if not hasattr(torch.serialization, "add_safe_globals"):
        return
    state = np.random.get_state(legacy=False)["state"]["key"]
    reconstruct = state.__reduce__()[0]
    torch.serialization.add_safe_globals([reconstruct, np.ndarray, np.dtype, type(state.dtype)])
