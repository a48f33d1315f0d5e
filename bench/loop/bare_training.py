"""Reading and training as a plain script does them; imported by `bare.py`, which times it."""

from pathlib import Path
from typing import Any

import checkpoints
import contract as contracts
import features
import fitting
import metrics
import pandas as pd
import torch
from network import build_model


def read(csv: Path) -> pd.DataFrame:
    """Read the CSV the way most scripts do."""
    return pd.read_csv(csv)


def train(frame: pd.DataFrame, config: dict[str, Any], checkpoint: Path) -> None:
    """Fit the preprocessing, train for the experiment's number of batches, validate as often, write what is served."""
    hparams, contract = config["hyperparameters"], contracts.load()
    label = contracts.label_of(contract)["name"]
    held_out = frame.sample(frac=float(hparams["validation_fraction"]), random_state=0).index
    columns = {name: frame[name].tolist() for name in frame.columns}
    spec = fitting.fit(columns, contract)
    rows = torch.from_numpy(features.encode(columns, spec))
    labels = torch.tensor(frame[label].to_numpy(), dtype=torch.float32)
    is_held_out = torch.zeros(len(frame), dtype=torch.bool)
    is_held_out[torch.as_tensor(held_out.to_numpy())] = True
    model = build_model(spec.n_features, hparams)
    loop(model, (rows[~is_held_out], labels[~is_held_out]), (rows[is_held_out], labels[is_held_out]), config)
    checkpoints.write(checkpoint / "serving", spec, model, hparams)


def loop(
    model: torch.nn.Module,
    training: tuple[torch.Tensor, torch.Tensor],
    validation: tuple[torch.Tensor, torch.Tensor],
    config: dict[str, Any],
) -> None:
    """Run the plain torch loop."""
    hparams = config["hyperparameters"]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=float(hparams["learning_rate"]), weight_decay=float(hparams["weight_decay"])
    )
    loss_of = torch.nn.BCEWithLogitsLoss()
    every = config["min_validation_period"]["batches"]
    size, rows = int(hparams["global_batch_size"]), len(training[1])
    order = torch.randperm(rows)
    for batch in range(config["searcher"]["max_length"]["batches"]):
        start = batch * size % (rows - size)
        if start < size:
            order = torch.randperm(rows)
        chosen = order[start : start + size]
        optimizer.zero_grad()
        loss_of(model(training[0][chosen]).squeeze(1), training[1][chosen]).backward()
        optimizer.step()
        if (batch + 1) % every == 0:
            validate(model, *validation)


def validate(model: torch.nn.Module, rows: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the AUC on the rows held out."""
    model.eval()
    with torch.no_grad():
        scores = model(rows).squeeze(1).double().numpy()
    model.train()
    return float(metrics.auc(scores, labels.double().numpy()))
