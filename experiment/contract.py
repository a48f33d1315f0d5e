"""The data contract: what a data file must look like, and what is wrong with one that does not.

``contract.json`` is the contract of this experiment's data. It is read here, checked, and used in three places: the
train container validates a commit with it before anything is trained, the trial reads its data through it, and
``features.fit`` takes the columns, their kinds and their policies from it. The document::

    version              1
    task                 "binary" (default), "multiclass" or "regression"
    files                patterns of the file names that hold data; other files of a commit are left alone
    extra_columns        "ignore" or "reject" columns the contract does not name
    unknown_categories   "reject", or "other": map them to a slot of their own
    columns              in order, each with a name and a kind:
        numeric          dtype "int" or "float"; min and max if it has bounds
        categorical      categories: the ones allowed (without it: those seen in training)
        label            values: the ones allowed, in the order of their classes, or {text: class}; for a regression
                         dtype instead; missing "drop": rows without a label are left out (default: an error)
      and, for numeric and categorical columns,
        missing          "reject" (default), or {"impute": "mean" | number | category}
    ignored              {column: why it is left out}: columns that are known and not used

and how the files are written, where that is not the default::

    separator ","   encoding "utf-8"   decimal "."   strip false (blanks around values)   missing_values [texts]
    threshold 0.5   from which probability a binary answer is class 1

A missing value is never filled in silently: it is an error unless its column says what stands in for it.

Errors::

    ContractError(ValueError)   .problems: what is wrong, each with file, row, column, reason, count and likely cause
"""

from __future__ import annotations

import codecs
import fnmatch
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTRACT_FILE = Path(__file__).resolve().parent / "contract.json"
VERSION = 1
# How many problems a refusal lists.
REPORTED = 20
# Texts that stand for a missing value unless the contract says others.
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")

TASKS = ("binary", "multiclass", "regression")
_KINDS = ("numeric", "categorical", "label")
_KEYS = {"version", "files", "extra_columns", "unknown_categories", "columns"}
_MORE = {"task", "ignored", "separator", "encoding", "decimal", "strip", "missing_values", "threshold"}

Contract = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and how often. ``row`` is the first one, counted from 1, the header not included."""

    file: str
    row: int | None
    column: str | None
    reason: str
    count: int = 1
    hint: str = ""

    def __str__(self) -> str:
        row = "" if self.row is None else f", row {self.row}"
        column = "" if self.column is None else f", column {self.column!r}"
        often = "" if self.count == 1 else f" ({self.count} rows like this)"
        hint = f". Likely cause: {self.hint}" if self.hint else ""
        return f"{self.file}{row}{column}: {self.reason}{often}{hint}"


class ContractError(ValueError):
    """Data, or the contract itself, is not as it must be."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def load(path: Path = CONTRACT_FILE) -> Contract:
    """The contract in ``path``. Raises ContractError if it is not one."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContractError([Problem(path.name, None, None, f"cannot be read as JSON: {error}")]) from None
    problems = [Problem(path.name, None, column, reason) for column, reason in _faults(document)]
    if problems:
        raise ContractError(problems[:REPORTED])
    contract: Contract = document
    return contract


def is_data_file(name: str, contract: Contract) -> bool:
    """Whether a file of a commit holds data, by its name."""
    return any(fnmatch.fnmatchcase(name.rsplit("/", 1)[-1], pattern) for pattern in contract["files"])


def imputes(fact: Mapping[str, Any]) -> bool:
    """Whether a column says what stands in for a missing value."""
    return isinstance(fact.get("missing"), Mapping)


def label_of(contract: Contract) -> Mapping[str, Any]:
    """The label's entry."""
    label: Mapping[str, Any] = next(fact for fact in contract["columns"] if fact["kind"] == "label")
    return label


def task_of(contract: Contract) -> str:
    """What is learned: binary, multiclass or regression."""
    return str(contract.get("task", "binary"))


def classes_of(contract: Contract) -> tuple[Any, ...]:
    """The label's values in the order of their classes, as the data has them; none for a regression.

    Several texts may stand for one class; the first of them is what it is called.
    """
    values = label_of(contract).get("values", ())
    if not isinstance(values, Mapping):
        return tuple(values)
    first: dict[int, Any] = {}
    for value, index in values.items():
        first.setdefault(index, value)
    return tuple(first[index] for index in sorted(first))


def class_index(contract: Contract) -> dict[Any, int]:
    """The class of each of the label's values."""
    values = label_of(contract).get("values", ())
    return dict(values) if isinstance(values, Mapping) else {value: index for index, value in enumerate(values)}


def missing_texts(contract: Contract) -> frozenset[str]:
    """The texts that stand for a missing value."""
    return frozenset(contract.get("missing_values", MISSING))


def _faults(document: Any) -> list[tuple[str | None, str]]:
    """(column, reason) of everything that is wrong with a contract."""
    if not isinstance(document, dict) or not set(document) >= _KEYS:
        return [(None, f"the contract must be an object with the keys {', '.join(sorted(_KEYS))}")]
    faults: list[tuple[str | None, str]] = []
    for key in sorted(set(document) - _KEYS - _MORE):
        faults.append((None, f"unknown key {key!r}; known are {', '.join(sorted(_KEYS | _MORE))}"))
    if document["version"] != VERSION:
        faults.append((None, f"version must be {VERSION}, not {document['version']!r}"))
    if document["extra_columns"] not in ("ignore", "reject"):
        faults.append((None, "extra_columns must be 'ignore' or 'reject'"))
    if document["unknown_categories"] not in ("other", "reject"):
        faults.append((None, "unknown_categories must be 'other' or 'reject'"))
    if not _is_texts(document["files"]):
        faults.append((None, "files must be a list of name patterns such as '*.csv'"))
    faults += [(None, reason) for reason in _writing_faults(document)]
    return faults + _column_faults(document["columns"], document.get("task", "binary"))


def _writing_faults(document: Mapping[str, Any]) -> Iterator[str]:
    if document.get("task", "binary") not in TASKS:
        yield f"task must be one of {', '.join(TASKS)}"
    separator, decimal = document.get("separator", ","), document.get("decimal", ".")
    if not isinstance(separator, str) or len(separator) != 1:
        yield "separator must be one character"
    if decimal not in (".", ",") or decimal == separator:
        yield "decimal must be '.' or ',', and not the separator"
    if not isinstance(document.get("strip", False), bool):
        yield "strip must be true or false"
    if not isinstance(document.get("ignored", {}), dict):
        yield "ignored must be an object: the reason by column"
    texts = document.get("missing_values", [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        yield "missing_values must be a list of texts"
    threshold = document.get("threshold", 0.5)
    if not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
        yield "threshold must lie between 0 and 1"
    try:
        codecs.lookup(str(document.get("encoding", "utf-8")))
    except LookupError:
        yield f"encoding {document['encoding']!r} is not known"


def _column_faults(columns: Any, task: str) -> list[tuple[str | None, str]]:
    if not isinstance(columns, list) or not all(
        isinstance(c, dict) and isinstance(c.get("name"), str) for c in columns
    ):
        return [(None, "columns must be a list of objects, each with a name")]
    counts = Counter(column["name"] for column in columns)
    faults: list[tuple[str | None, str]] = [(name, "is named twice") for name, count in counts.items() if count > 1]
    if sum(column.get("kind") == "label" for column in columns) != 1:
        faults.append((None, "exactly one column must be of kind 'label'"))
    for column in columns:
        reason = _label_fault(column, task) if column.get("kind") == "label" else _kind_fault(column)
        if reason:
            faults.append((column["name"], reason))
    return faults


def _kind_fault(column: Mapping[str, Any]) -> str | None:
    kind, missing = column.get("kind"), column.get("missing", "reject")
    if kind not in _KINDS:
        return f"kind must be one of {', '.join(_KINDS)}, not {kind!r}"
    if kind == "numeric" and column.get("dtype") not in ("int", "float"):
        return "a numeric column needs dtype 'int' or 'float'"
    if kind == "categorical" and "categories" in column and not _is_texts(column["categories"]):
        return "categories must be a list of texts, at least one"
    if missing != "reject" and not (isinstance(missing, dict) and set(missing) == {"impute"}):
        return "missing must be 'reject' or {'impute': value}"
    return None


def _label_fault(column: Mapping[str, Any], task: str) -> str | None:
    if column.get("missing", "reject") not in ("reject", "drop"):
        return "a label needs its allowed values, and is never imputed: missing must be 'reject' or 'drop'"
    if task == "regression":
        return None if column.get("dtype") in ("int", "float") else "the label of a regression needs dtype, no values"
    values = column.get("values")
    if not values or not isinstance(values, (list, dict)):
        return "a label needs its allowed values"
    classes = sorted(set(values.values())) if isinstance(values, dict) else list(range(len(values)))
    if classes != list(range(len(classes))):
        return "the classes of a label's values must be 0, 1, ... without a gap"
    if len(classes) < 2 or (task == "binary" and len(classes) != 2):
        return f"a label of task {task} needs {'two' if task == 'binary' else 'two or more'} classes"
    numbers = [isinstance(value, (int, float)) and not isinstance(value, bool) for value in values]
    if not (all(numbers) or all(isinstance(value, str) for value in values)):
        return "a label's values must be all texts or all numbers"
    return None


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)
