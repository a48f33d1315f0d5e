"""Reads a CSV of which nothing is known: encoding, separator and decimal sign are concluded from the file itself."""

import csv
import gzip
import io
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdk.base.errors import InvalidArgument

SEPARATORS = (",", ";", "\t", "|")
MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"})
# What is looked at of a large file.
LARGEST = 64 * 1024**2
_SNIFFED_LINES = 200


@dataclass(frozen=True)
class Dialect:
    """How a file is written."""

    encoding: str = "utf-8"
    separator: str = ","
    decimal: str = "."
    strip: bool = False

    def rules(self) -> dict[str, Any]:
        """The contract's keys for it, the default ones left out."""
        return {name: value for name, value in vars(self).items() if value != getattr(Dialect(), name)}


@dataclass(frozen=True)
class Sheet:
    """A file's columns as texts, and what was concluded of how it is written: (note, whether it is unsure)."""

    columns: dict[str, list[str]]
    rows: int
    dialect: Dialect
    notes: list[tuple[str, bool]]


def read_sheet(path: Path) -> Sheet:
    """Read a file. Raises InvalidArgument naming what is wrong with it."""
    text, encoding, notes = _text(path)
    separator = _separator(text, path)
    if separator != ",":
        notes.append((f"columns are separated by {separator!r}", False))
    lines = _lines(text, separator, path)
    strip = any(cell != cell.strip() for row in lines[:_SNIFFED_LINES] for cell in row)
    if strip:
        notes.append(("there are blanks around values: they are left out", False))
        lines = [[cell.strip() for cell in row] for row in lines]
    _check_header(lines[0], path)
    columns = dict(zip(lines[0], map(list, zip(*lines[1:], strict=True)), strict=True))
    decimal = _decimal(columns, separator)
    if decimal == ",":
        notes.append(("decimal commas", False))
    return Sheet(columns, len(lines) - 1, Dialect(encoding, separator, decimal, strip), notes)


def _text(path: Path) -> tuple[str, str, list[tuple[str, bool]]]:
    """The file's text, its encoding, and notes on both."""
    raw, whole = _bytes(path)
    encoding, notes = _encoding(raw, path)
    text = raw.decode(encoding, errors="strict" if whole else "ignore").removeprefix("\ufeff").rstrip("\x1a")
    if not whole:
        text = text.rpartition("\n")[0]
        notes.append((f"only the first {LARGEST // 1024**2} MiB of the file were looked at", True))
    return text, encoding.removesuffix("-sig"), notes


def number(text: str, decimal: str = ".") -> float | None:
    """The finite number a text is, strictly: ASCII digits, no thousands separators; None for anything else."""
    if decimal == ",":
        text = "no number" if "." in text else text.replace(",", ".")
    if not text.isascii() or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value - value == 0 else None


def _bytes(path: Path) -> tuple[bytes, bool]:
    """The beginning of the file, and whether that is all of it."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            raw = bytes(file.read(LARGEST + 1))
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read: {error.strerror or error}") from error
    if not raw.strip():
        raise InvalidArgument(f"{path} is empty")
    return raw[:LARGEST], len(raw) <= LARGEST


def _encoding(raw: bytes, path: Path) -> tuple[str, list[tuple[str, bool]]]:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", [("the file is UTF-16 text", False)]
    if b"\0" in raw:
        raise InvalidArgument(f"{path} is not CSV but binary: it holds NUL bytes")
    try:
        raw[: LARGEST - 4].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return "utf-8-sig", []
        return "latin-1", [(f"the file is not UTF-8 (byte {raw[error.start]:#04x}): read as Latin-1", True)]
    return "utf-8-sig", []


def _separator(text: str, path: Path) -> str:
    """The separator by which the first lines have the same number of columns, and the most of them."""
    head = "\n".join(itertools.islice(io.StringIO(text), _SNIFFED_LINES))
    best, score = ",", (0.0, 0)
    for candidate in SEPARATORS:
        try:
            widths = Counter(len(row) for row in csv.reader(io.StringIO(head), delimiter=candidate) if row)
        except csv.Error:
            continue
        width, lines = widths.most_common(1)[0]
        if width > 1 and (lines / widths.total(), width) > score:
            best, score = candidate, (lines / widths.total(), width)
    return best


def _lines(text: str, separator: str, path: Path) -> list[list[str]]:
    try:
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True) if row]
    except csv.Error as error:
        raise InvalidArgument(f"{path} is not CSV: {error}") from error
    if len(lines) < 2:
        raise InvalidArgument(f"{path} has a header but no rows")
    width = len(lines[0])
    if all(len(row) == width + 1 and not row[-1] for row in lines[1:]):
        raise InvalidArgument(f"{path} has a separator at the end of every line but the first: remove them")
    for index, row in enumerate(lines[1:], 1):
        if len(row) != width:
            raise InvalidArgument(f"{path}, row {index}: has {len(row)} values, the header has {width}")
    return lines


def _check_header(header: Sequence[str], path: Path) -> None:
    for name, count in Counter(header).items():
        if count > 1:
            raise InvalidArgument(f"{path}: the header names column {name!r} {count} times: rename them")
    if all(number(cell) is not None for cell in header):
        raise InvalidArgument(f"{path} has no header: its first line holds numbers; write the columns' names there")


def _decimal(columns: dict[str, list[str]], separator: str) -> str:
    if separator == ",":
        return "."
    commas = sum("," in text and number(text, ",") is not None for texts in columns.values() for text in texts[:200])
    points = sum("." in text and number(text) is not None for texts in columns.values() for text in texts[:200])
    return "," if commas > points else "."
