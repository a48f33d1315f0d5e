"""Reads CSV files against the data contract, strictly: what does not fit is named, never guessed or dropped.

Called by the train container, to validate a commit before an experiment is created, and by the trial, to get its
data: one reader, so that what was validated is what is trained on. Neither pandas nor torch is needed.

There are two ways through a file. numpy's reader is as quick as pandas and takes a file without quotes in which
nothing is missing and everything fits. Whatever it refuses is read again row by row with ``csv``, which is three
times slower and knows what to say; its word is final. Empty lines are skipped by both.
"""

from __future__ import annotations

import csv
import itertools
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
from contract import REPORTED, Contract, ContractError, Problem, imputes

logger = logging.getLogger("experiment.table")

# Texts that stand for a missing value.
MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"})
_BLOCK = 4096
_SNIFF = 65536

Column: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]] | list[Any]"


@dataclass(frozen=True)
class Table:
    """Columns by name, all of ``rows`` values: float64 arrays, and lists of text for categorical columns.

    A missing value the contract imputes is NaN or None.
    """

    columns: Mapping[str, Column]
    rows: int


def read(path: Path, contract: Contract, name: str | None = None) -> Table:
    """One file. Raises ContractError with the first few problems; ``name`` is what they call the file."""
    return _Reader(name or path.name, contract).read(path)


def read_all(files: Mapping[str, Path], contract: Contract) -> Table:
    """Several files, by name, as one table. Raises ContractError with the first few problems of all of them."""
    tables: list[Table] = []
    problems: list[Problem] = []
    for name, path in sorted(files.items()):
        try:
            tables.append(read(path, contract, name))
        except ContractError as error:
            problems.extend(error.problems)
    if problems:
        raise ContractError(problems[:REPORTED])
    columns = {fact["name"]: _joined([table.columns[fact["name"]] for table in tables]) for fact in contract["columns"]}
    return Table(columns, sum(table.rows for table in tables))


class _Reader:
    """Reads one file block by block, collecting problems until there are enough."""

    def __init__(self, name: str, contract: Contract) -> None:
        self._name = name
        self._contract = contract
        self._problems: list[Problem] = []
        self._parts: dict[str, list[Column]] = {fact["name"]: [] for fact in contract["columns"]}
        self._rows = 0

    def read(self, path: Path) -> Table:
        with path.open("rb") as raw:
            if b"\0" in raw.read(_SNIFF):
                self._fail(None, None, "is not CSV but binary: it holds NUL bytes")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                header = next(reader, None)
                if not header:
                    self._fail(None, None, "is empty" if header is None else "has no header: its first line is empty")
                positions = self._positions(header)
                quick = quick_table(path, header, self._contract)
                if quick is not None:
                    return quick
                self._read_rows(reader, len(header), positions)
            except UnicodeDecodeError as error:
                self._fail(None, None, f"is not CSV: byte {error.object[error.start]:#04x} is not UTF-8 text")
            except csv.Error as error:
                self._fail(reader.line_num - 1, None, f"is not CSV: {error}")
        if not self._rows and not self._problems:
            self._problem(None, None, "has a header but no rows")
        if self._problems:
            raise ContractError(self._problems)
        return Table({name: _joined(parts) for name, parts in self._parts.items()}, self._rows)

    def _read_rows(self, reader: Iterator[list[str]], width: int, positions: Mapping[str, int]) -> None:
        while lines := list(itertools.islice(reader, _BLOCK)):
            block = [line for line in lines if line]
            self._check_widths(block, width)
            self._convert(list(zip(*block, strict=True)), positions)
            self._rows += len(block)

    def _positions(self, header: Sequence[str]) -> dict[str, int]:
        """Index of every column of the contract. A header that does not fit makes the rows meaningless: stop."""
        wanted = [fact["name"] for fact in self._contract["columns"]]
        for name in dict.fromkeys(header):
            if header.count(name) > 1:
                self._problem(None, name, f"the header names this column {header.count(name)} times")
        missing = [name for name in wanted if name not in header]
        if len(missing) == len(wanted):
            self._fail(None, None, f"is not CSV with a header: its first line has none of the {len(wanted)} columns")
        for name in missing:
            self._problem(None, name, "the header lacks this column")
        extra = [name for name in header if name not in wanted]
        if extra and self._contract["extra_columns"] == "reject":
            for name in extra:
                self._problem(None, name, "the contract does not know this column")
        elif extra:
            logger.warning("%s: ignoring columns the contract does not name: %s", self._name, ", ".join(extra[:20]))
        if self._problems:
            raise ContractError(self._problems)
        return {name: header.index(name) for name in wanted}

    def _check_widths(self, block: list[list[str]], width: int) -> None:
        if set(map(len, block)) <= {width}:
            return
        for i, row in enumerate(block):
            if len(row) != width:
                self._problem(self._rows + i + 1, None, f"has {len(row)} values, the header has {width}")
        raise ContractError(self._problems)

    def _convert(self, columns: Sequence[Sequence[str]], positions: Mapping[str, int]) -> None:
        """Add one block of text columns to the table."""
        if not columns:
            return
        for fact in self._contract["columns"]:
            texts = columns[positions[fact["name"]]]
            convert = self._categories if fact["kind"] == "categorical" else self._numbers
            self._parts[fact["name"]].append(convert(texts, fact))

    def _numbers(self, texts: Sequence[str], fact: Mapping[str, Any]) -> Column:
        numbers = _quick_numbers(texts)
        if numbers is not None and _allowed(numbers, fact):
            return numbers
        values = np.empty(len(texts))
        for i, text in enumerate(texts):
            value, reason = _number(text, fact)
            values[i] = value
            if reason:
                self._problem(self._rows + i + 1, fact["name"], reason)
        return values

    def _categories(self, texts: Sequence[str], fact: Mapping[str, Any]) -> Column:
        known = {category: category for category in fact.get("categories", ())}
        if known.keys() >= set(texts):
            return [known[text] for text in texts]  # one object per category, not one per row
        accept_any = "categories" not in fact or self._contract["unknown_categories"] == "other"
        values: list[Any] = []
        for i, text in enumerate(texts):
            reason = None
            if text in MISSING and text not in known:
                values.append(None)
                reason = None if imputes(fact) else "has no value"
            else:
                values.append(known.setdefault(text, text))
                if not accept_any and text not in fact["categories"]:
                    reason = f"unknown category {text[:60]!r}; the contract allows {', '.join(fact['categories'][:20])}"
            if reason:
                self._problem(self._rows + i + 1, fact["name"], reason)
        return values

    def _problem(self, row: int | None, column: str | None, reason: str) -> None:
        self._problems.append(Problem(self._name, row, column, reason))
        if len(self._problems) >= REPORTED:
            raise ContractError(self._problems)

    def _fail(self, row: int | None, column: str | None, reason: str) -> NoReturn:
        raise ContractError([*self._problems, Problem(self._name, row, column, reason)])


def quick_table(path: Path, header: Sequence[str], contract: Contract) -> Table | None:
    """The whole file, if nothing in it needs a closer look."""
    facts = {fact["name"]: fact for fact in contract["columns"]}
    if any(fact["kind"] == "categorical" and "categories" not in fact for fact in facts.values()):
        return None
    if b'"' in path.read_bytes():
        return None
    kinds = [_numpy_kind(facts.get(name)) for name in header]
    dtype = np.dtype([(f"{i}", kind) for i, kind in enumerate(kinds)])
    try:
        with warnings.catch_warnings(), path.open(encoding="utf-8-sig", newline="") as file:
            warnings.simplefilter("error")  # "no data": the other way says so properly
            rows = np.loadtxt(file, dtype, delimiter=",", comments=None, skiprows=1, ndmin=1)
    except (ValueError, UserWarning):  # UnicodeDecodeError is a ValueError
        return None
    columns: dict[str, Column] = {}
    for name, fact in facts.items():
        values = rows[f"{header.index(name)}"]
        column = _known_categories(values, fact) if fact["kind"] == "categorical" else _fitting_numbers(values, fact)
        if column is None:
            return None
        columns[name] = column
    return Table(columns, len(rows))


def _numpy_kind(fact: Mapping[str, Any] | None) -> str:
    if fact is None:
        return "U1"  # a column the contract does not name: read over
    if fact["kind"] == "categorical":  # one character more than allowed, so that a longer text cannot pass for one
        return f"U{max(map(len, fact['categories'])) + 1}"
    return "f8"


def _known_categories(values: np.ndarray[Any, Any], fact: Mapping[str, Any]) -> Column | None:
    categories = fact["categories"]
    codes = np.full(len(values), -1)
    for code, category in enumerate(categories):
        codes[values == category] = code
    return np.array(categories, dtype=object)[codes].tolist() if (codes >= 0).all() else None


def _fitting_numbers(values: np.ndarray[Any, Any], fact: Mapping[str, Any]) -> Column | None:
    return np.ascontiguousarray(values) if np.isfinite(values).all() and _allowed(values, fact) else None


def _quick_numbers(texts: Sequence[str]) -> np.ndarray[Any, Any] | None:
    """All texts as float64, or None if any of them needs a closer look (Python reads "1_0" as a number, CSV not)."""
    if "_" in "".join(texts):
        return None
    try:
        numbers = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _allowed(numbers: np.ndarray[Any, Any], fact: Mapping[str, Any]) -> bool:
    if fact["kind"] == "label":
        return bool(np.isin(numbers, fact["values"]).all())
    return fact["dtype"] != "int" or bool((numbers == np.floor(numbers)).all())


def _number(text: str, fact: Mapping[str, Any]) -> tuple[float, str | None]:
    """The value of one text and, if it does not fit, the reason."""
    if text in MISSING:
        return math.nan, None if imputes(fact) else "has no value"
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        return value, f"expected a number, got {text[:60]!r}"
    if math.isinf(value):
        return value, f"expected a finite number, got {text[:60]!r}"
    if fact["kind"] == "label" and value not in fact["values"]:
        return value, f"the label must be one of {', '.join(map(str, fact['values']))}, got {text[:60]!r}"
    if fact.get("dtype") == "int" and value != math.floor(value):
        return value, f"expected a whole number, got {text[:60]!r}"
    return value, None


def _joined(parts: Sequence[Column]) -> Column:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return list(itertools.chain.from_iterable(parts))
