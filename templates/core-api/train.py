"""The experiment: a Core API script, started by Determined as `python3 train.py`, or by hand with data.files set.

Learns the mean row of each class from CSV files (a header, numbers, the label in the last column) and answers with the
class whose mean is nearest. Sums and counts are all it keeps, so going on from an earlier version's checkpoint with
what a commit added gives what training on everything would.
"""

from __future__ import annotations

import csv
import json
import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import determined as det
import numpy as np
import yaml
from data import fetch
from determined import core

HERE = Path(__file__).resolve().parent
# Which files of a commit hold data; `data.py` needs no more of a contract.
DATA_FILES = {"files": ["*.csv"]}
# What is known: {"columns": names, "commits": trained on, "sums": {class: numbers}, "counts": {class: rows}}.
State = dict[str, Any]

logger = logging.getLogger("experiment")


def main(context: core.Context, data: dict[str, Any], hparams: dict[str, Any], checkpoint: str | None) -> None:
    """Train on the commit of the configuration, report how good it is, leave a checkpoint."""
    state = restore(context, checkpoint) if checkpoint else {"columns": [], "commits": [], "sums": {}, "counts": {}}
    logger.info("going on from %d rows", sum(state["counts"].values()))
    commit = (data.get("pachyderm") or {}).get("branch")
    if commit in state["commits"]:
        logger.info("commit %s is in the checkpoint already", commit)
        return
    with fetch(data, DATA_FILES) as files:
        rows = [row for name, path in files.items() for row in read(path, name, state["columns"])]
    if len(rows) < 2:
        raise ValueError(f"{', '.join(files)}: {len(rows)} rows are too few to train on some and judge by another")
    every = int(hparams["hold_out"])
    learn(state, (row for number, row in enumerate(rows) if number % every))
    state["commits"] += [commit] if commit else []
    held_out = rows[::every]
    steps = sum(state["counts"].values())
    good = sum(nearest(state, numbers) == label for numbers, label in held_out)
    context.train.report_validation_metrics(steps, {"accuracy": good / len(held_out)})
    with context.checkpoint.store_path({"steps_completed": steps}) as (path, _):
        save(path / "serving", state, held_out[0][0])


def read(path: Path, name: str, columns: list[str]) -> Iterator[tuple[list[float], str]]:
    """The rows of a file as (numbers, label). `columns` is filled from the first header; others must have the same."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])[:-1]
        columns[:] = columns or header
        if not columns or header != columns:
            raise ValueError(f"{name}: the header must name {columns or 'columns'} and the label, not {header}")
        for number, line in enumerate(filter(None, reader), 1):
            try:
                numbers = [float(text) for text in line[:-1]]
            except ValueError as error:
                raise ValueError(f"{name}, row {number}: {error}") from error
            if len(numbers) != len(columns) or not np.isfinite(numbers).all():
                raise ValueError(f"{name}, row {number}: {len(columns)} finite numbers and a label are needed")
            yield numbers, line[-1]


def learn(state: State, rows: Iterable[tuple[list[float], str]]) -> None:
    """Add rows to what is known."""
    for numbers, label in rows:
        state["sums"][label] = np.add(state["sums"].get(label, 0.0), numbers).tolist()
        state["counts"][label] = state["counts"].get(label, 0) + 1


def nearest(state: State, numbers: list[float]) -> str:
    """The class whose mean row is nearest."""
    distances: dict[str, float] = {
        label: float(np.square(np.divide(total, state["counts"][label]) - numbers).sum())
        for label, total in state["sums"].items()
    }
    return sorted(distances, key=distances.__getitem__)[0]


def restore(context: core.Context, checkpoint: str) -> State:
    """What an earlier version, or this trial before it was interrupted, had learned."""
    with context.checkpoint.restore_path(checkpoint) as path:
        state: State = json.loads((path / "serving" / "state.json").read_text(encoding="utf-8"))
        return state


def save(folder: Path, state: State, example: list[float]) -> None:
    """All that the served model needs: code, what was learned, and the signature."""
    shutil.copytree(HERE / "serving", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "state.json").write_text(json.dumps(state, allow_nan=False), encoding="utf-8")
    signature = {
        "task": "classification",
        "input": {
            "type": "object",
            "properties": {name: {"type": "number"} for name in state["columns"]},
            "required": state["columns"],
        },
        "output": {"enum": [*state["counts"]]},
        "classes": [*state["counts"]],
        "example": {"instances": [dict(zip(state["columns"], example, strict=True))]},
    }
    (folder / "signature.json").write_text(json.dumps(signature, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    info = det.get_cluster_info()
    if info is None:  # by hand
        config = yaml.safe_load((HERE / "const.yaml").read_text(encoding="utf-8"))
        with core.init(checkpoint_storage="checkpoints") as local:
            main(local, config["data"], config["hyperparameters"], None)
    else:
        with core.init() as cluster:
            main(cluster, info.user_data, info.trial.hparams, info.latest_checkpoint)
