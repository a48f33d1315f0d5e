"""In-memory batches: a loader that slices a batch out of a tensor at once.

Called by ``TabularTrial``. Determined wants its own ``DataLoader``, which knows how to repeat, skip and shard; what
would make it slow is one call per row and collating rows into a batch, and ``__getitems__`` avoids both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from determined import pytorch
from torch.utils.data import Dataset


class Rows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Features, float32 (rows, n_features), and the loss's targets, (rows,), fetched by lists of indices."""

    def __init__(self, features: np.ndarray[Any, Any], labels: torch.Tensor) -> None:
        self.features = torch.from_numpy(features)
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One row, for those who ask for one."""
        return self.features[index], self.labels[index]

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch."""
        chosen = torch.as_tensor(indices)
        return self.features[chosen], self.labels[chosen]


def loader(rows: Rows, batch_size: int, seed: int | None = None) -> pytorch.DataLoader:
    """Batches of ``rows``, shuffled anew every epoch if there is a seed, in order otherwise."""
    if seed is None:
        return pytorch.DataLoader(rows, batch_size=batch_size, collate_fn=_as_fetched)
    # A generator of its own, and not torch's: a trial that resumes then sees the order it would have seen.
    generator = torch.Generator().manual_seed(seed)
    return pytorch.DataLoader(rows, batch_size=batch_size, shuffle=True, collate_fn=_as_fetched, generator=generator)


def _as_fetched(batch: Any) -> Any:
    return batch
