"""The network. Imported by ``model_def.py`` in training, and by ``serving/model.py``: every checkpoint has both.

Torch only; what a network was built with is stored beside its weights as ``model_config.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class Compress(nn.Module):
    """Logarithm that keeps the sign. Usage is skewed by tens of deviations, and a few rows must not rule a layer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape to the same shape."""
        return torch.sign(x) * torch.log1p(torch.abs(x))


def build_model(n_features: int, hparams: Mapping[str, Any], n_outputs: int = 1) -> nn.Module:
    """Multi-layer perceptron: float32 (rows, ``n_features``) to float32 (rows, ``n_outputs``), logits or a number.

    ``hparams``: ``hidden_size`` (width of the first hidden layer; each further one is half as wide), ``layers``
    (how many), ``dropout`` (share, 0 to below 1). Others are ignored.
    """
    layers: list[nn.Module] = [Compress()]
    width = n_features
    for i in range(int(hparams["layers"])):
        size = max(1, int(hparams["hidden_size"]) >> i)
        layers += [nn.Linear(width, size), nn.SiLU(), nn.Dropout(float(hparams["dropout"]))]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, n_outputs))
