"""Make TorchScript of the network of a PyTorchTrial's checkpoint.

    python scripting.py /pfs/model/checkpoint scriptmodule.pt

Run by `deployment/archive.py` in a process of its own, for `deploy.py build --handler`: it imports the experiment's
code. SERVING_MODE=true tells a trial that it is loaded to be served, so that it need not fetch its data. The last line
of a failure says what to do.
"""

import logging
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import torch

FORCE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def load_trial(checkpoint: Path) -> Any:
    """Load the trial with its weights on the CPU. Raises RuntimeError where torch refuses the checkpoint's pickles."""
    try:
        from determined import pytorch  # noqa: PLC0415 - only these builds need it
    except ImportError as error:
        raise RuntimeError("a PyTorchTrial needs the package determined in the image of this pipeline") from error
    try:
        return pytorch.load_trial_from_checkpoint_path(str(checkpoint), torch_load_kwargs={"map_location": "cpu"})
    except pickle.UnpicklingError as error:
        if os.environ.get(FORCE) == "1":
            raise
        raise RuntimeError(
            "torch 2.6 and later do not unpickle a Determined checkpoint by themselves, since a pickle can run code. "
            f"If you trust what trained it, set {FORCE}=1 in the environment of this pipeline (transform.env)"
        ) from error


def network_of(trial: Any) -> torch.nn.Module:
    """The network of a trial: its `model`, else the only network among its attributes. Raises ValueError."""
    networks = {name: value for name, value in vars(trial).items() if isinstance(value, torch.nn.Module)}
    if "model" not in networks and len(networks) != 1:
        raise ValueError(
            f"{type(trial).__name__} has no network called model, but {len(networks)} others: which one is served "
            "cannot be told; leave a serving/ folder in the checkpoint instead"
        )
    return networks["model"] if "model" in networks else networks.popitem()[1]


def main(checkpoint: str, target: str) -> None:
    """Load, script and save."""
    logging.basicConfig(level=logging.WARNING)
    os.environ["SERVING_MODE"] = "true"
    network = network_of(load_trial(Path(checkpoint))).cpu().eval()
    torch.jit.save(torch.jit.script(network), target)


if __name__ == "__main__":
    main(*sys.argv[1:])
