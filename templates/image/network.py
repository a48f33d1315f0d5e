"""The network: two convolutions and a linear layer. Copied into the checkpoint, so that serving builds the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def build_network(classes: int, hparams: Mapping[str, Any]) -> torch.nn.Module:
    """From (rows, channels, size, size) to one logit per class."""
    width, size = int(hparams["width"]), int(hparams["image_size"]) // 4
    return torch.nn.Sequential(
        torch.nn.Conv2d(int(hparams["channels"]), width, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(width, 2 * width, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(2 * width * size * size, classes),
    )
