"""Collects what is wrong with a data file, summed up by column and kind of fault, and names the likely cause."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from contract import Contract, Problem

_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_THOUSANDS = re.compile(r"[+-]?\d{1,3}([,.' \u00a0]\d{3})+([.,]\d+)?")
_YES_NO = {"yes", "no", "true", "false", "y", "n", "t", "f"}


@dataclass
class Problems:
    """The problems of one file. ``kind`` tells faults of one column apart; each is listed once, with a count."""

    file: str

    def __post_init__(self) -> None:
        self._found: dict[tuple[str | None, str], Problem] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, kind: str, row: int | None, column: str | None, reason: str, hint: str = "") -> None:
        """Note a fault; of one that was noted before, only that it happened again."""
        known = self._found.get((column, kind))
        if known is None:
            self._found[column, kind] = Problem(self.file, row, column, reason, 1, hint)
        else:
            self._found[column, kind] = replace(known, count=known.count + 1)

    def seen(self, kind: str, column: str | None) -> bool:
        """Whether a fault was noted before: then its text and cause need not be found again."""
        return (column, kind) in self._found

    def listed(self) -> list[Problem]:
        """All of them, in the order they were met."""
        return list(self._found.values())


def number_hint(text: str, contract: Contract) -> str:
    """Why a text may be no number."""
    bare = text.strip()
    if bare == "\x1a":
        return "a Ctrl-Z at the end of the file, left by an old editor: remove it"
    if any(character.isdigit() and not character.isascii() for character in bare):
        return "digits of another script: write them as 0 to 9"
    if bare.lower() in _YES_NO:
        return 'a yes/no column: make it categorical, or a label with values such as {"No": 0, "Yes": 1}'
    if _THOUSANDS.fullmatch(bare):
        return "thousands separators: write the number without them"
    if contract.get("decimal", ".") == "." and re.fullmatch(r"[+-]?\d+,\d+", bare):
        return 'decimal commas: set "decimal": "," in the contract'
    if re.search(r"^[$€£¥]\s?[\d.,]+$|^[\d.,]+\s?[$€£¥%]$", bare):
        return "a unit or a currency sign in the cell: write the number alone"
    return ""


def category_hint(text: str, known: Sequence[Any]) -> str:
    """Why a text may be no category, and the nearest one that is known."""
    names = [str(name) for name in known]
    if text.strip() in names:
        return 'blanks around the value: set "strip": true in the contract'
    folded = {name.casefold(): name for name in names}
    if text.strip().casefold() in folded:
        return f"written otherwise: the contract knows {folded[text.strip().casefold()]!r}"
    near = difflib.get_close_matches(text, names, 1)
    return f"a new category, or a slip for {near[0]!r}" if near else ""


def header_hint(header: Sequence[str], wanted: Sequence[str], separator: str) -> str:
    """Why the header has none, or not all, of the columns."""
    for other, name in _SEPARATORS.items():
        if other != separator and any(other in cell for cell in header):
            parts = {part.strip().strip('"') for cell in header for part in cell.split(other)}
            if parts & set(wanted):
                return f'the columns are separated by {name}: set "separator": {other!r} in the contract'
    plain = {_folded(cell): cell for cell in header}
    alike = [(plain[_folded(name)], name) for name in wanted if name not in header and _folded(name) in plain]
    if alike:
        return f"other case or blanks: the file says {alike[0][0]!r}, the contract {alike[0][1]!r}"
    return ""


def width_hint(values: Sequence[str], header: Sequence[str], row: int) -> str:
    """Why a row may have more or fewer values than the header."""
    if values == ["\x1a"]:
        return "a Ctrl-Z at the end of the file, left by an old editor: remove it"
    if len(values) == len(header) + 1:
        if not values[-1]:
            return "a separator at the end of every line: add one to the header, or remove them"
        if values[0] in (str(row), str(row - 1)):
            return "a row number in front of every line that the header does not name"
    if len(values) > len(header):
        return "a value that holds the separator and is not in quotes, such as a decimal comma"
    return ""


def encoding_hint(raw: bytes, contract: Mapping[str, Any]) -> str:
    """What the bytes of a file say of its encoding."""
    half = max(raw[0:400:2].count(0), raw[1:400:2].count(0))  # ASCII in UTF-16: every other byte is zero
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or half > 10:
        return 'UTF-16 text: save it as UTF-8, or set "encoding": "utf-16" in the contract'
    if b"\0" not in raw and str(contract.get("encoding", "utf-8")).lower() in ("utf-8", "utf8"):
        return 'text of an older program (Latin-1): save it as UTF-8, or set "encoding": "latin-1" in the contract'
    return ""


def _folded(name: str) -> str:
    return re.sub(r"[\s_\ufeff]+", "", name).casefold()
