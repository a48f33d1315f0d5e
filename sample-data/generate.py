"""Generate the churn data: ``data_part1.csv``, ``data_part2.csv`` and the ten-row request.

    python sample-data/generate.py                   both CSVs beside this file (about 22 MB each)
    python sample-data/generate.py --out /tmp/data   somewhere else
    python sample-data/generate.py --request         rewrite customer_churn_sample.json

The same seed gives the same rows, byte for byte, on every processor: what is drawn is rounded before anything is
computed from it (see ``marginals.py``). Part 1 follows the means and deviations of ``churn_schema.json``; part 2 is
drawn from a population that has shifted. A file that is already there and was generated from the same code,
schema, seed and size is left alone. The CSVs are not kept in git; the request is, and its ten customers are in
neither CSV.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import population

HERE = Path(__file__).resolve().parent
SCHEMA = HERE / "churn_schema.json"
REQUEST = "customer_churn_sample.json"
SEED = 20240223
REQUEST_ROWS = 10
_SOURCES = ("generate.py", "population.py", "marginals.py", "churn_schema.json")

logger = logging.getLogger("generate")


@dataclass(frozen=True)
class Part:
    """One CSV: its name, which stream of the seed it draws from, and how its population has shifted."""

    name: str
    stream: int
    shift: population.Shift


PARTS = (
    Part("data_part1.csv", 1, population.NO_SHIFT),
    Part("data_part2.csv", 2, population.LATER_SHIFT),
)
_REQUEST_STREAM = 3


def load_schema(path: Path = SCHEMA) -> dict[str, Any]:
    """Names, kinds, means, deviations and categories of the columns, in order."""
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


def draw(part: Part, schema: Mapping[str, Any], rows: int, seed: int = SEED) -> dict[str, np.ndarray[Any, Any]]:
    """The columns of one part, by name, each of length ``rows``."""
    return population.sample(schema, rows, np.random.default_rng([seed, part.stream]), part.shift)


def draw_request(schema: Mapping[str, Any], seed: int = SEED) -> dict[str, dict[str, Any]]:
    """Ten customers of neither part, half of whom left, as ``{column: {row: value}}`` with the label."""
    columns = population.sample(schema, 20 * REQUEST_ROWS, np.random.default_rng([seed, _REQUEST_STREAM]))
    left = columns["churn"] == 1
    half = REQUEST_ROWS // 2
    rows = np.sort(np.concatenate([np.flatnonzero(left)[:half], np.flatnonzero(~left)[: REQUEST_ROWS - half]]))
    return {name: {str(i): value for i, value in enumerate(values[rows].tolist())} for name, values in columns.items()}


def generate(out: Path, seed: int = SEED, rows: int | None = None) -> list[Path]:
    """Write both CSVs into ``out`` unless they are there already; ``rows`` overrides the size of each."""
    schema = load_schema()
    out.mkdir(parents=True, exist_ok=True)
    return [_ensure(out / part.name, part, schema, seed, rows or schema["rows"][part.name]) for part in PARTS]


def write_request(path: Path, seed: int = SEED) -> Path:
    """Write the ten-row request."""
    text = json.dumps(draw_request(load_schema(), seed), indent=1) + "\n"
    _write(path, lambda file: file.write(text))
    return path


def _ensure(path: Path, part: Part, schema: Mapping[str, Any], seed: int, rows: int) -> Path:
    recipe = _recipe(part, seed, rows)
    stamp = path.with_name(path.name + ".stamp")
    if path.exists() and stamp.exists() and stamp.read_text() == f"{recipe} {_digest(path)}\n":
        logger.info("%s is up to date", path)
        return path
    columns = draw(part, schema, rows, seed)
    _write(path, lambda file: file.writelines(_csv_lines(columns)))
    _write(stamp, lambda file: file.write(f"{recipe} {_digest(path)}\n"))
    logger.info(
        "wrote %s: %d rows, %.1f MB, churn %.3f", path, rows, path.stat().st_size / 1e6, columns["churn"].mean()
    )
    return path


def _csv_lines(columns: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[str]:
    yield ",".join(columns) + "\n"
    texts = [list(map(str, values.tolist())) for values in columns.values()]
    for row in zip(*texts, strict=True):
        yield ",".join(row) + "\n"


def _recipe(part: Part, seed: int, rows: int) -> str:
    """Fingerprint of everything a CSV depends on."""
    digest = hashlib.sha256(f"{part.name} {seed} {rows} numpy {np.__version__}".encode())
    for source in _SOURCES:
        digest.update((HERE / source).read_bytes())
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, fill: Callable[[Any], object]) -> None:
    """Fill a file beside ``path``, then rename it: an interrupted run never leaves half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            fill(file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Generate the churn data.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="seed (default: %(default)s)")
    parser.add_argument("--rows", type=int, help="rows of each CSV (default: as in churn_schema.json)")
    parser.add_argument("--request", action="store_true", help=f"write {REQUEST} instead of the CSVs")
    args = parser.parse_args(argv)
    if args.rows is not None and args.rows < 1:
        parser.error("--rows must be at least 1")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if args.request:
        args.out.mkdir(parents=True, exist_ok=True)
        logger.info("wrote %s", write_request(args.out / REQUEST, args.seed))
    else:
        generate(args.out, args.seed, args.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
