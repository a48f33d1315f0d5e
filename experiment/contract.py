"""The data contract: what a data file must look like, and what is wrong with one that does not.

``contract.json`` is the contract of the churn data. It is read here, checked, and used in three places: the train
container validates a commit with it before anything is trained, the trial reads its data through it, and
``features.fit`` takes the columns, their kinds and their policies from it. The document::

    version              1
    files                patterns of the file names that hold data; other files of a commit are left alone
    extra_columns        "ignore" or "reject" columns the contract does not name
    unknown_categories   "reject", or "other": map them to a slot of their own
    columns              in order, each with a name and a kind:
        numeric          dtype "int" or "float"
        categorical      categories: the ones allowed (without it: those seen in training)
        label            values: the ones allowed
      and, for numeric and categorical columns,
        missing          "reject" (default), or {"impute": "mean" | number | category}

A missing value is never filled in silently: it is an error unless its column says what stands in for it.

Errors::

    ContractError(ValueError)   .problems: the first few things that are wrong, each with file, row, column, reason
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTRACT_FILE = Path(__file__).resolve().parent / "contract.json"
VERSION = 1
# How many problems are reported; a file with one wrong column has thousands.
REPORTED = 5

_KINDS = ("numeric", "categorical", "label")
_KEYS = {"version", "files", "extra_columns", "unknown_categories", "columns"}

Contract = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. ``row`` counts data rows from 1, the header not included."""

    file: str
    row: int | None
    column: str | None
    reason: str

    def __str__(self) -> str:
        row = "" if self.row is None else f", row {self.row}"
        column = "" if self.column is None else f", column {self.column!r}"
        return f"{self.file}{row}{column}: {self.reason}"


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


def _faults(document: Any) -> list[tuple[str | None, str]]:
    """(column, reason) of everything that is wrong with a contract."""
    if not isinstance(document, dict) or set(document) != _KEYS:
        return [(None, f"the contract must be an object with the keys {', '.join(sorted(_KEYS))}")]
    faults: list[tuple[str | None, str]] = []
    if document["version"] != VERSION:
        faults.append((None, f"version must be {VERSION}, not {document['version']!r}"))
    if document["extra_columns"] not in ("ignore", "reject"):
        faults.append((None, "extra_columns must be 'ignore' or 'reject'"))
    if document["unknown_categories"] not in ("other", "reject"):
        faults.append((None, "unknown_categories must be 'other' or 'reject'"))
    if not _is_texts(document["files"]):
        faults.append((None, "files must be a list of name patterns such as '*.csv'"))
    return faults + _column_faults(document["columns"])


def _column_faults(columns: Any) -> list[tuple[str | None, str]]:
    if not isinstance(columns, list) or not all(
        isinstance(c, dict) and isinstance(c.get("name"), str) for c in columns
    ):
        return [(None, "columns must be a list of objects, each with a name")]
    names = [column["name"] for column in columns]
    faults: list[tuple[str | None, str]] = [(name, "is named twice") for name in set(names) if names.count(name) > 1]
    if sum(column.get("kind") == "label" for column in columns) != 1:
        faults.append((None, "exactly one column must be of kind 'label'"))
    for column in columns:
        reason = _kind_fault(column)
        if reason:
            faults.append((column["name"], reason))
    return faults


def _kind_fault(column: Mapping[str, Any]) -> str | None:
    kind, missing = column.get("kind"), column.get("missing", "reject")
    if kind not in _KINDS:
        return f"kind must be one of {', '.join(_KINDS)}, not {kind!r}"
    if kind == "numeric" and column.get("dtype") not in ("int", "float"):
        return "a numeric column needs dtype 'int' or 'float'"
    if kind == "label" and (not column.get("values") or missing != "reject"):
        return "a label needs its allowed values, and is never imputed"
    if kind == "categorical" and "categories" in column and not _is_texts(column["categories"]):
        return "categories must be a list of texts, at least one"
    if missing != "reject" and not (isinstance(missing, dict) and set(missing) == {"impute"}):
        return "missing must be 'reject' or {'impute': value}"
    return None


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)
