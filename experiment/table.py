"""Reads data files against the data contract, strictly: what does not fit is named, never guessed or dropped.

Called by the train container, to validate a commit before an experiment is created, and by the trial, to get its
data: one reader, so that what was validated is what is trained on. CSV, also compressed (``.csv.gz``), and Parquet.
Neither pandas nor torch is needed; Parquet needs pyarrow.

There are two ways through a CSV. numpy's reader (``quick_table.py``) is as quick as pandas and takes a file without
quotes in which nothing is missing and everything fits. Whatever it refuses is read again row by row with ``csv``, which
is three times slower and knows what to say; its word is final. Empty lines are skipped by both.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from columns import Column, Table, fits, label_codes, taken
from contract import REPORTED, Contract, ContractError, Problem, class_index, imputes, label_of, missing_texts
from problems import Problems, category_hint, encoding_hint, header_hint, number_hint, width_hint
from quick_table import quick_table

logger = logging.getLogger("experiment.table")

_BLOCK = 4096
_SNIFF = 65536
_SHOWN = 60
_PARQUET = ".parquet"


def read(path: Path, contract: Contract, name: str | None = None) -> Table:
    """One file. Raises ContractError with its problems; ``name`` is what they call the file."""
    return _Reader(name or path.name, contract).read(path)


def read_all(files: Mapping[str, Path], contract: Contract) -> Table:
    """Several files, by name, as one table. Raises ContractError with the first problems of all of them."""
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
    """Reads one file block by block, collecting problems."""

    def __init__(self, name: str, contract: Contract) -> None:
        self._name = name
        self._contract = contract
        self._separator = contract.get("separator", ",")
        self._missing = missing_texts(contract)
        self._label = label_of(contract)
        self._classes = {_key(value): index for value, index in class_index(contract).items()}
        self._numeric_label = not any(isinstance(key, str) for key in self._classes)
        self._problems = Problems(name)
        self._parts: dict[str, list[Column]] = {fact["name"]: [] for fact in contract["columns"]}
        self._rows = 0

    def read(self, path: Path) -> Table:
        """The whole file. Raises ContractError."""
        raw = _first_bytes(path, self._fail)
        if path.suffix != _PARQUET and b"\0" in raw and "16" not in str(self._contract.get("encoding")):
            self._fail(None, None, "is not CSV but binary: it holds NUL bytes", encoding_hint(raw, self._contract))
        if path.suffix == _PARQUET:
            self._read_rows(*self._parquet(path))
        else:
            quick = self._read_csv(path, raw)
            if quick is not None:
                return quick
        if not self._rows and not self._problems:
            self._problems.add("rows", None, None, "has a header but no rows")
        if self._problems:
            raise ContractError(self._problems.listed())
        return self._without_label({name: _joined(parts) for name, parts in self._parts.items()})

    def _read_csv(self, path: Path, raw: bytes) -> Table | None:
        with opened(path, self._contract) as file:
            reader = csv.reader(file, delimiter=self._separator, strict=True)
            try:
                header = next(reader, None)
                if not header:
                    self._fail(None, None, "is empty" if header is None else "has no header: its first line is empty")
                self._positions(header)
                quick = None if _has_quotes(path) else self._quickly(path, header)
                if quick is not None:
                    return quick
                self._read_rows(header, reader)
            except UnicodeDecodeError as error:
                hint = encoding_hint(raw, self._contract)
                what = f"{error.object[error.start]:#04x} is not {self._contract.get('encoding', 'utf-8').upper()} text"
                self._fail(None, None, f"is not CSV: byte {what}", hint)
            except csv.Error as error:
                self._fail(reader.line_num - 1, None, f"is not CSV: {error}")
        return None

    def _quickly(self, path: Path, header: Sequence[str]) -> Table | None:
        with opened(path, self._contract) as file:
            return quick_table(file, header, self._contract)

    def _parquet(self, path: Path) -> tuple[list[str], Iterator[list[str]]]:
        """Header and rows of a Parquet file, as texts: one way of reading what they mean."""
        try:
            from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415 - only this kind of file needs it
        except ImportError:
            self._fail(None, None, "is Parquet, which needs pyarrow: pip install pyarrow (or pdk[parquet])")
        try:
            file = parquet.ParquetFile(path)
        except (ArrowInvalid, OSError) as error:
            self._fail(None, None, f"is not Parquet: {error}")
        names = [str(name) for name in file.schema_arrow.names]
        batches = (batch.to_pylist() for batch in file.iter_batches(_BLOCK))
        rows = (["" if row[name] is None else str(row[name]) for name in names] for batch in batches for row in batch)
        return names, rows

    def _read_rows(self, header: Sequence[str], rows: Iterator[list[str]]) -> None:
        positions = self._positions(header)
        while lines := list(itertools.islice(rows, _BLOCK)):
            block = [line for line in lines if line]
            self._check_widths(block, header)
            self._convert(list(zip(*block, strict=True)), positions)
            self._rows += len(block)

    def _positions(self, header: Sequence[str]) -> dict[str, int]:
        """Index of every column of the contract. A header that does not fit makes the rows meaningless: stop."""
        names = [name.strip() for name in header] if self._contract.get("strip") else list(header)
        wanted = [fact["name"] for fact in self._contract["columns"]]
        known, places = set(wanted), {name: i for i, name in reversed(list(enumerate(names)))}
        hint = header_hint(names, wanted, self._separator) if known - set(places) else ""
        if not known & set(places):
            text = f"is not CSV with a header: its first line has none of the {len(wanted)} columns"
            self._fail(None, None, text, hint)
        if len(places) < len(names):
            for name in {name for name in names if names.count(name) > 1}:
                text = f"the header names this column {names.count(name)} times"
                self._problems.add("twice", None, name, text)
        for name in wanted:
            if name not in places:
                self._problems.add("lacks", None, name, "the header lacks this column", hint)
        self._look_at_extra([name for name in names if name not in known])
        if self._problems:
            raise ContractError(self._problems.listed()[:REPORTED])
        return {name: places[name] for name in wanted}

    def _look_at_extra(self, extra: Sequence[str]) -> None:
        ignored = self._contract.get("ignored", {})
        unknown = [name for name in extra if name not in ignored]
        if unknown and self._contract["extra_columns"] == "reject":
            for name in unknown:
                self._problems.add("extra", None, name, "the contract does not know this column")
        elif unknown:
            some = ", ".join(unknown[:20])
            logger.warning("%s: ignoring columns the contract does not name: %s", self._name, some)

    def _check_widths(self, block: list[list[str]], header: Sequence[str]) -> None:
        if set(map(len, block)) <= {len(header)}:
            return
        for i, row in enumerate(block):
            if len(row) != len(header):
                text = f"has {len(row)} values, the header has {len(header)}"
                number = self._rows + i + 1
                self._problems.add("width", number, None, text, width_hint(row, header, number))
        raise ContractError(self._problems.listed())

    def _convert(self, columns: Sequence[Sequence[str]], positions: Mapping[str, int]) -> None:
        """Add one block of text columns to the table."""
        if not columns:
            return
        for fact in self._contract["columns"]:
            texts = columns[positions[fact["name"]]]
            if self._contract.get("strip"):
                texts = [text.strip() for text in texts]
            self._parts[fact["name"]].append(self._converted(texts, fact))

    def _converted(self, texts: Sequence[str], fact: Mapping[str, Any]) -> Column:
        if fact["kind"] == "categorical":
            return self._categories(texts, fact)
        if fact["kind"] == "label" and not self._numeric_label:
            return self._text_labels(texts, fact)
        return self._numbers(texts, fact)

    def _numbers(self, texts: Sequence[str], fact: Mapping[str, Any]) -> Column:
        numbers = self._quick_numbers(texts)
        if numbers is not None and fits(numbers, fact, self._classes):
            return label_codes(numbers, self._classes) if fact["kind"] == "label" else numbers
        values = np.empty(len(texts))
        for i, text in enumerate(texts):
            value, kind, reason = self._number(text, fact)
            values[i] = value
            if kind and not self._problems.seen(kind, fact["name"]):
                hint = number_hint(text, self._contract) if kind == "number" else ""
                self._problems.add(kind, self._rows + i + 1, fact["name"], reason, hint)
            elif kind:
                self._problems.add(kind, None, fact["name"], reason)
        return values

    def _quick_numbers(self, texts: Sequence[str]) -> np.ndarray[Any, Any] | None:
        """All texts as float64, or None if one needs a closer look (Python reads "1_0" as a number, CSV does not)."""
        together = "".join(texts)
        if "_" in together or not together.isascii() or "missing_values" in self._contract:
            return None
        if self._contract.get("decimal") == ",":
            if "." in together:
                return None
            texts = [text.replace(",", ".") for text in texts]
        try:
            numbers = np.fromiter(map(float, texts), np.float64, len(texts))
        except ValueError:
            return None
        return numbers if np.isfinite(numbers).all() else None

    def _number(self, text: str, fact: Mapping[str, Any]) -> tuple[float, str, str]:
        """The value of one text and, if it does not fit, the kind of fault and the reason."""
        if text in self._missing:
            passes = imputes(fact) or fact.get("missing") == "drop"
            return math.nan, "" if passes else "missing", "has no value"
        value = self._parsed(text)
        if math.isnan(value):
            return value, "number", f"expected a number, got {text[:_SHOWN]!r}"
        if math.isinf(value):
            return value, "finite", f"expected a finite number, got {text[:_SHOWN]!r}"
        if self._classes and fact["kind"] == "label":
            if value in self._classes:
                return float(self._classes[value]), "", ""
            allowed = ", ".join(map(str, class_index(self._contract)))
            return value, "class", f"the label must be one of {allowed}, got {text[:_SHOWN]!r}"
        if fact.get("dtype") == "int" and value != math.floor(value):
            return value, "whole", f"expected a whole number, got {text[:_SHOWN]!r}"
        if not fact.get("min", -math.inf) <= value <= fact.get("max", math.inf):
            bounds = f"{fact.get('min', '-inf')} to {fact.get('max', 'inf')}"
            return value, "range", f"must lie within {bounds}, got {text[:_SHOWN]!r}"
        return value, "", ""

    def _parsed(self, text: str) -> float:
        if self._contract.get("decimal") == ",":
            text = "no number" if "." in text else text.replace(",", ".")
        try:
            return float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            return math.nan

    def _text_labels(self, texts: Sequence[str], fact: Mapping[str, Any]) -> Column:
        codes = [self._classes.get(text) for text in texts]
        for i, code in enumerate(codes):
            if code is not None:
                continue
            if texts[i] in self._missing:
                if fact.get("missing") != "drop":
                    self._problems.add("missing", self._rows + i + 1, fact["name"], "has no value")
                continue
            allowed = ", ".join(map(repr, self._classes))
            reason = f"the label must be one of {allowed}, got {texts[i][:_SHOWN]!r}"
            hint = category_hint(texts[i], list(self._classes))
            self._problems.add("class", self._rows + i + 1, fact["name"], reason, hint)
        return np.array([math.nan if code is None else code for code in codes], dtype=np.float64)

    def _categories(self, texts: Sequence[str], fact: Mapping[str, Any]) -> Column:
        known = {category: category for category in fact.get("categories", ())}
        if known.keys() >= set(texts):
            return [known[text] for text in texts]  # one object per category, not one per row
        accept_any = "categories" not in fact or self._contract["unknown_categories"] == "other"
        values: list[Any] = []
        for i, text in enumerate(texts):
            if text in self._missing and text not in known:
                values.append(None)
                if not imputes(fact):
                    self._problems.add("missing", self._rows + i + 1, fact["name"], "has no value")
                continue
            values.append(known.setdefault(text, text))
            if not accept_any and text not in fact["categories"]:
                kind = f"category {text}"
                allowed = ", ".join(fact["categories"][:20])
                reason = f"unknown category {text[:_SHOWN]!r}; the contract allows {allowed}"
                hint = "" if self._problems.seen(kind, fact["name"]) else category_hint(text, fact["categories"])
                self._problems.add(kind, self._rows + i + 1, fact["name"], reason, hint)
        return values

    def _without_label(self, columns: dict[str, Column]) -> Table:
        """The table without the rows that have no label, where the contract says to leave them out."""
        if self._label.get("missing") != "drop":
            return Table(columns, self._rows)
        labelled = ~np.isnan(np.asarray(columns[self._label["name"]]))
        rows = int(labelled.sum())
        if rows < self._rows:
            left_out = self._rows - rows
            logger.warning("%s: %d of %d rows have no label and are left out", self._name, left_out, self._rows)
        if not rows:
            self._fail(None, self._label["name"], "no row has a label")
        return Table({name: taken(column, labelled) for name, column in columns.items()}, rows)

    def _fail(self, row: int | None, column: str | None, reason: str, hint: str = "") -> NoReturn:
        self._problems.add("file", row, column, reason, hint)
        raise ContractError(self._problems.listed())


def opened(path: Path, contract: Contract) -> IO[str]:
    """A CSV as text, decompressed if it is compressed; a byte order mark is read over."""
    encoding = str(contract.get("encoding", "utf-8"))
    encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def _has_quotes(path: Path) -> bool:
    """Whether a quote is anywhere in the file: numpy's reader would take what stands between two for columns."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return any(b'"' in piece for piece in iter(lambda: file.read(1 << 20), b""))


def _first_bytes(path: Path, fail: Any) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return bytes(file.read(_SNIFF))
    except (gzip.BadGzipFile, EOFError) as error:
        fail(None, None, f"is not gzip, as its name says: {error}")
        raise AssertionError("unreachable: fail raises") from error


def _key(value: Any) -> Any:
    """A label's value as it is looked up: numbers as float, since 1 and 1.0 are one label."""
    return float(value) if isinstance(value, (int, float)) else value


def _joined(parts: Sequence[Column]) -> Column:
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return list(itertools.chain.from_iterable(parts))
