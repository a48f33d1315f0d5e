"""Looks at a CSV and concludes what its contract is: how it is written, what each column is, what is to be learned.

Nothing is guessed in silence: every conclusion is a note with its reason, and one that could be wrong says so.
"""

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdk.base.errors import InvalidArgument
from pdk.projects.csv_file import MISSING, Dialect, Sheet, number, read_sheet

# A column of more different texts than this is no set of categories.
MOST_CATEGORIES = 100
# Whole numbers of fewer different values than this may be classes.
MOST_CLASSES = 20
FEWEST_ROWS = 20
# Columns that come with a value of their own in a V1 request.
RESERVED = ("data", "parameters", "body")
_YES = {"yes", "y", "true", "t", "1", "ja", "oui", "si", "positive", "churned", "left"}
_NO = {"no", "n", "false", "f", "0", "nein", "non", "negative", "stayed"}
_IDENTIFIER = re.compile(r"(^|[_\W])(id|key|uuid|guid|nr|no|number|index)$|^(id|index|unnamed.*)$", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")


@dataclass(frozen=True)
class Note:
    """One conclusion; `unsure`: worth a look."""

    text: str
    unsure: bool = False


@dataclass
class Profile:
    """What was concluded: the contract, notes on it, and rows to ask the model with."""

    contract: dict[str, Any]
    task: str
    label: str
    rows: int
    notes: list[Note] = field(default_factory=list)
    sample: list[dict[str, Any]] = field(default_factory=list)


def profile(path: Path, label: str, task: str | None = None) -> Profile:
    """Conclude the contract of a file. Raises InvalidArgument for a file nothing can be learned from."""
    sheet = read_sheet(path)
    notes = [Note(text, unsure) for text, unsure in sheet.notes]
    if label not in sheet.columns:
        near = [name for name in sheet.columns if name.strip().casefold() == label.strip().casefold()]
        hint = f"; did you mean {near[0]!r}?" if near else f"; it has {_some(list(sheet.columns))}"
        raise InvalidArgument(f"{path} has no column {label!r}{hint}")
    if len(sheet.columns) < 2:
        raise InvalidArgument(f"{path} has one column: there is nothing to learn the label from")
    if sheet.rows < FEWEST_ROWS:
        raise InvalidArgument(f"{path} has {sheet.rows} rows; at least {FEWEST_ROWS} are needed to learn from")
    fact, found = _label(label, sheet, task, notes)
    columns: list[dict[str, Any]] = []
    ignored: dict[str, str] = {}
    for name in sheet.columns:
        entry = fact if name == label else _column(name, sheet, notes)
        if not isinstance(entry, str) and name != label:
            entry = _leak(name, sheet, label, found) or entry
        if isinstance(entry, str):
            ignored[name] = entry
            notes.append(Note(f"column {name!r} is left out: {entry}", unsure=True))
        else:
            columns.append(entry)
    if len(columns) < 2:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in ignored.items())
        raise InvalidArgument(f"{path}: no column is left to learn from: {reasons}")
    contract = _contract(sheet.dialect, columns, ignored, found)
    return Profile(contract, found, label, sheet.rows, notes, _sample(sheet, columns))


def _contract(dialect: Dialect, columns: list[Any], ignored: Mapping[str, str], task: str) -> dict[str, Any]:
    contract: dict[str, Any] = {"version": 1, "files": ["*.csv", "*.csv.gz", "*.parquet"]}
    if task != "binary":
        contract["task"] = task
    contract |= dialect.rules()
    contract |= {"extra_columns": "ignore", "unknown_categories": "reject"}
    if ignored:
        contract["ignored"] = dict(ignored)
    return {**contract, "columns": columns}


def _label(name: str, sheet: Sheet, task: str | None, notes: list[Note]) -> tuple[dict[str, Any], str]:
    """The label's entry and the task."""
    present = [text for text in sheet.columns[name] if text not in MISSING]
    missing = sheet.rows - len(present)
    if not present:
        raise InvalidArgument(f"the label {name!r} has no value in any row")
    fact: dict[str, Any] = {"name": name, "kind": "label"}
    counts = Counter(present)
    numbers = [number(text, sheet.dialect.decimal) for text in counts]
    numeric = None not in numbers
    found = task or _task(counts, numeric, [value for value in numbers if value is not None], notes, name)
    if found == "regression":
        if not numeric:
            wrong = next(text for text in counts if number(text, sheet.dialect.decimal) is None)
            raise InvalidArgument(
                f"the label {name!r} is no number in every row: {wrong!r}; a regression needs numbers"
            )
        fact["dtype"] = "float"
        notes.append(Note(f"label {name!r}: a number, to be predicted (regression)"))
    else:
        fact["values"] = _classes(name, counts, numeric, sheet.dialect.decimal, found, notes)
    if missing:
        fact["missing"] = "drop"
        notes.append(Note(f"{missing} rows have no label and will be left out of training", unsure=True))
    return fact, found


def _task(counts: Counter[str], numeric: bool, numbers: list[float], notes: list[Note], name: str) -> str:
    if len(counts) == 1:
        raise InvalidArgument(f"every row has the same label, {next(iter(counts))!r}: there is nothing to learn")
    if len(counts) == 2:
        return "binary"
    if not numeric:
        if len(counts) > MOST_CATEGORIES:
            raise InvalidArgument(
                f"the label {name!r} has {len(counts)} different texts: that is neither a set of classes nor a number"
            )
        return "multiclass"
    whole = all(value == int(value) for value in numbers)
    if whole and len(counts) <= MOST_CLASSES and sum(counts.values()) >= 10 * len(counts):
        notes.append(
            Note(
                f"label {name!r}: {len(counts)} whole numbers, taken for classes; --task regression otherwise",
                unsure=True,
            )
        )
        return "multiclass"
    return "regression"


def _classes(
    name: str, counts: Counter[str], numeric: bool, decimal: str, task: str, notes: list[Note]
) -> list[Any] | dict[str, int]:
    if len(counts) < 2 or (task == "binary" and len(counts) != 2):
        raise InvalidArgument(f"the label {name!r} has {len(counts)} different values, a {task} task needs other ones")
    if numeric:
        values = sorted({_plain(number(text, decimal)) for text in counts})
        notes.append(Note(f"label {name!r}: {task}, classes {_some(values)}"))
        return values
    texts = sorted(counts)
    if task == "binary":
        first, second = _ordered(texts)
        sure = first.casefold() in _NO or second.casefold() in _YES
        notes.append(
            Note(f"label {name!r}: binary; class 1, whose probability is given, is {second!r}", unsure=not sure)
        )
        return {first: 0, second: 1}
    notes.append(Note(f"label {name!r}: {len(texts)} classes: {_some(texts)}"))
    return texts


def _ordered(texts: Sequence[str]) -> tuple[str, str]:
    """Two label texts with the one that means yes second."""
    first, second = texts
    if first.casefold() in _YES or second.casefold() in _NO:
        return second, first
    return first, second


def _column(name: str, sheet: Sheet, notes: list[Note]) -> dict[str, Any] | str:
    """A column's entry in the contract, or the reason it is left out."""
    texts = sheet.columns[name]
    present = [text for text in texts if text not in MISSING]
    counts = Counter(present)
    if not name.strip():
        return "it has no name: a row number, as a rule"
    if name in RESERVED:
        return f"requests use the name {name!r} for something else: rename the column to use it"
    if len(counts) < 2:
        return "it has the same value in every row" if counts else "it has no value in any row"
    numbers = [number(text, sheet.dialect.decimal) for text in counts]
    missing = sheet.rows - len(present)
    if None not in numbers:
        return _numeric(name, [value for value in numbers if value is not None], counts, missing, notes)
    return _categorical(name, counts, missing, notes)


def _numeric(
    name: str, values: list[float], counts: Counter[str], missing: int, notes: list[Note]
) -> dict[str, Any] | str:
    whole = all(value == int(value) for value in values)
    if whole and len(counts) == sum(counts.values()) and (_IDENTIFIER.search(name) or _is_run(values)):
        return "it has another whole number in every row: an identifier"
    low, high = min(values), max(values)
    span = high - low
    fact: dict[str, Any] = {"name": name, "kind": "numeric", "dtype": "int" if whole else "float"}
    # Ten times the range that was seen: a wrong unit is outside of it, next year's data is not.
    fact |= {"min": _plain(_floor(low - 10 * span)), "max": _plain(_floor(high + 10 * span) + 1)}
    if missing:
        fact["missing"] = {"impute": "mean"}
        notes.append(Note(f"column {name!r}: {missing} rows have no value: the mean stands in for it"))
    return fact


def _categorical(name: str, counts: Counter[str], missing: int, notes: list[Note]) -> dict[str, Any] | str:
    rows = sum(counts.values())
    if _DATE.fullmatch(next(iter(counts))):
        return "it holds dates: turn them into numbers, such as days since then, to use them"
    if len(counts) == rows:
        return "it has another text in every row: an identifier or free text"
    if len(counts) > min(MOST_CATEGORIES, rows / 4) or statistics.mean(map(len, counts)) > 40:
        return f"it has {len(counts)} different texts in {rows} rows: free text"
    categories = [text for text, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    fact: dict[str, Any] = {"name": name, "kind": "categorical", "categories": categories}
    rare = [text for text in categories if counts[text] == 1]
    if rare:
        notes.append(Note(f"column {name!r}: {_some(rare)} occur once: a slip?", unsure=True))
    if missing:
        fact["missing"] = {"impute": categories[0]}
        notes.append(Note(f"column {name!r}: {missing} rows have no value: {categories[0]!r} stands in for it"))
    return fact


def _leak(name: str, sheet: Sheet, label: str, task: str) -> str | None:
    """Why a column knows the label, if it does in every row: it was filled in afterwards, as a rule."""
    pairs = [(a, b) for a, b in zip(sheet.columns[name], sheet.columns[label], strict=True) if a not in MISSING]
    if task == "regression":
        values = [(number(a, sheet.dialect.decimal), number(b, sheet.dialect.decimal)) for a, b in pairs]
        known = [(a, b) for a, b in values if a is not None and b is not None]
        if len(known) == len(pairs) > 2 and _correlation(known) > 0.9999:
            return f"it is the label {label!r} in other numbers: it would not be known when the model is asked"
        return None
    labels_of: dict[str, set[str]] = {}
    for value, wanted in pairs:
        labels_of.setdefault(value, set()).add(wanted)
    if len(labels_of) <= len(pairs) / 4 and all(len(each) == 1 for each in labels_of.values()):
        return f"every value of it has one label {label!r} only: it would not be known when the model is asked"
    return None


def _correlation(pairs: Sequence[tuple[float, float]]) -> float:
    try:
        return abs(statistics.correlation([a for a, _ in pairs], [b for _, b in pairs]))
    except statistics.StatisticsError:
        return 0.0


def _is_run(values: Sequence[float]) -> bool:
    """Whether whole numbers count up by one, in any order."""
    return max(values) - min(values) == len(values) - 1


def _floor(value: float) -> float:
    return float(value // 1)


def _plain(value: float | None) -> Any:
    assert value is not None
    return int(value) if value == int(value) else value


def _some(values: Sequence[Any]) -> str:
    shown = ", ".join(repr(value) for value in values[:8])
    return shown + (f" and {len(values) - 8} more" if len(values) > 8 else "")


def _sample(sheet: Sheet, columns: Sequence[Mapping[str, Any]], count: int = 3) -> list[dict[str, Any]]:
    """The first rows without a missing value as a client would send them, label not included."""
    used = [fact for fact in columns if fact["kind"] != "label"]
    rows: list[dict[str, Any]] = []
    for index in range(sheet.rows):
        texts = {fact["name"]: sheet.columns[fact["name"]][index] for fact in used}
        if MISSING.isdisjoint(texts.values()):
            kinds = {fact["name"]: fact["kind"] for fact in used}
            rows.append(
                {k: _plain(number(v, sheet.dialect.decimal)) if kinds[k] == "numeric" else v for k, v in texts.items()}
            )
        if len(rows) == count:
            break
    return rows
