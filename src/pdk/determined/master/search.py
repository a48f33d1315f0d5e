"""Which trials an experiment consists of: the searchers single, random and grid.

`creates` is a fixed sequence for a configuration: its k-th element is the k-th trial, so the state of a search is no
more than the number of trials created so far, and a restarted master goes on exactly where it was. Mirrors
master/pkg/searcher: hyperparameters are sampled in name order, then the request id, then the trial's seed, from one
generator.
"""

import itertools
import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pdk.determined.errors import InvalidConfig
from pdk.determined.master.config.experiment import SearcherName
from pdk.determined.master.config.hyperparameters import HyperparameterType, leaves
from pdk.determined.master.randomness import LegacyRandom

MAX_GRID = 10_000


@dataclass(frozen=True)
class Create:
    """A trial to create."""

    request_id: str
    hparams: dict[str, Any]
    seed: int


def creates(config: Mapping[str, Any]) -> Iterator[Create]:
    """Yield the trials of an experiment in order; random for ever (replacements of invalid ones), single once."""
    rand = LegacyRandom(config["reproducibility"]["experiment_seed"])
    hyperparameters = config["hyperparameters"]
    name = config["searcher"]["name"]
    if name == SearcherName.GRID:
        for hparams in grid(hyperparameters):
            yield _create(hparams, rand)
    elif name == SearcherName.RANDOM:
        while True:
            yield _create(sample(hyperparameters, rand), rand)
    else:
        yield _create(sample(hyperparameters, rand), rand)


def nth(config: Mapping[str, Any], index: int) -> Create | None:
    """Return the trial with this index, None when the search has fewer."""
    return next(itertools.islice(creates(config), index, None), None)


def total(config: Mapping[str, Any]) -> int:
    """Return how many trials the search asks for, before replacements."""
    searcher = config["searcher"]
    if searcher["name"] == SearcherName.GRID:
        return grid_size(config["hyperparameters"])
    return int(searcher["max_trials"]) if searcher["name"] == SearcherName.RANDOM else 1


def concurrent(config: Mapping[str, Any]) -> int:
    """Return how many trials may be open at once; 0 in the configuration means all."""
    limit = int(config["searcher"].get("max_concurrent_trials", 1))
    return limit or total(config)


def sample(hyperparameters: Mapping[str, Any], rand: LegacyRandom) -> dict[str, Any]:
    """Draw one value for each hyperparameter."""
    return _nested((path, _draw(each, rand)) for path, each in leaves(hyperparameters))


def grid(hyperparameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every point of the grid, in the order the original hands them out: the last one first."""
    axes = [(path, axis(each)) for path, each in leaves(hyperparameters)]
    points = itertools.product(*(values for _, values in axes))
    paths = [path for path, _ in axes]
    return [_nested(zip(paths, point, strict=True)) for point in points][::-1]


def grid_size(hyperparameters: Mapping[str, Any]) -> int:
    """Return the number of points of the grid; raises InvalidConfig when there are too many to run."""
    size = 1
    for _, each in leaves(hyperparameters):
        size *= len(axis(each))
        if size > MAX_GRID:
            raise InvalidConfig([f"<config>.hyperparameters: the grid has more than {MAX_GRID} points"])
    return size


def axis(each: Mapping[str, Any]) -> list[Any]:
    """Return the values of one hyperparameter in a grid."""
    kind = each["type"]
    if kind == HyperparameterType.CONST:
        return [each["val"]]
    if kind == HyperparameterType.CATEGORICAL:
        return list(each["vals"])
    low, high = each["minval"], each["maxval"]
    count = min(each["count"], MAX_GRID + 1)
    if kind == HyperparameterType.INT:
        return [math.floor(v + 0.5) for v in _spread(low, high, min(count, high - low + 1))]
    values = _spread(low, high, count)
    return [each["base"] ** v for v in values] if kind == HyperparameterType.LOG else values


def _spread(low: float, high: float, count: int) -> list[float]:
    if count == 1:
        return [(low + high) / 2]
    return [low + i * (high - low) / (count - 1) for i in range(count)]


def _draw(each: Mapping[str, Any], rand: LegacyRandom) -> Any:
    kind = each["type"]
    if kind == HyperparameterType.CONST:
        return each["val"]
    if kind == HyperparameterType.CATEGORICAL:
        return each["vals"][rand.integer(len(each["vals"]))]
    if kind == HyperparameterType.INT:
        # As in the original, maxval itself is never drawn (only a grid includes it).
        return each["minval"] + rand.integer(max(1, each["maxval"] - each["minval"]))
    value = rand.uniform(each["minval"], each["maxval"])
    return each["base"] ** value if kind == HyperparameterType.LOG else value


def _nested(items: Iterator[tuple[tuple[str, ...], Any]] | Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for path, value in items:
        inner = result
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value
    return result


def _create(hparams: dict[str, Any], rand: LegacyRandom) -> Create:
    request_id = uuid.UUID(bytes=rand.bytes(16), version=4)
    return Create(str(request_id), hparams, rand.integer(2**31))
