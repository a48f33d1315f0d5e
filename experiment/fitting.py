"""Learns the preprocessing from the rows that are trained on: scales, categories, the classes of the label.

Called by the trial once, for the first version; later versions keep the first fit. What comes out of it travels with
the model, this module does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract import classes_of
from feature_spec import FeatureError, FeatureSpec, RowError, Scale, checked_spec
from features import Values, as_numbers, is_missing, named_columns, shown


def fit(columns: Mapping[str, Values], contract: Mapping[str, Any]) -> FeatureSpec:
    """Learn scales and categories from columns of equal length, for the columns the contract names.

    Categories are those the contract lists; where it lists none, the ones that occur, sorted. Raises RowError for
    a value the contract does not allow, FeatureError if there are no rows.
    """
    facts = {fact["name"]: fact for fact in contract["columns"]}
    label = next((name for name, fact in facts.items() if fact["kind"] == "label"), None)
    if label is None:
        raise FeatureError("the contract has no column of kind 'label'")
    used = tuple(name for name, fact in facts.items() if fact["kind"] in ("numeric", "categorical"))
    values = named_columns(columns, used)
    if not any(map(len, values.values())):
        raise FeatureError("no rows to fit on")
    numeric: dict[str, Scale] = {}
    categorical: dict[str, tuple[str, ...]] = {}
    impute: dict[str, float | str] = {}
    for name in used:
        stands_in = _missing_policy(facts[name]).get("impute")
        if facts[name]["kind"] == "numeric":
            numeric[name] = _fit_scale(values[name], name, stands_in is not None)
            if stands_in is not None:
                impute[name] = numeric[name].mean if stands_in == "mean" else float(stands_in)
        else:
            seen = facts[name].get("categories") or _seen(values[name], name, stands_in is not None)
            categorical[name] = tuple(seen)
            if stands_in is not None:
                impute[name] = str(stands_in)
    target, classes = _fit_label(columns.get(label, ()), label, contract)
    return checked_spec(
        FeatureSpec(
            used,
            numeric,
            categorical,
            label,
            allow_unknown_categories=contract.get("unknown_categories", "reject") == "other",
            impute=impute,
            task=str(contract.get("task", "binary")),
            classes=classes,
            target=target,
            threshold=float(contract.get("threshold", 0.5)),
        )
    )


def _fit_label(labels: Values, label: str, contract: Mapping[str, Any]) -> tuple[Scale | None, tuple[Any, ...]]:
    """The scale of a regression's target, or the classes of a label. Raises FeatureError for a label of one class."""
    if contract.get("task") == "regression":
        return _fit_scale(labels, label, False), ()
    occurring = {int(value) for value in labels}
    classes = classes_of(contract)
    if len(occurring) < 2:
        every = ", ".join(repr(classes[index]) for index in occurring)
        raise FeatureError(f"column {label!r}: every row has the label {every}: there is nothing to learn")
    return None, classes


def _fit_scale(values: Values, name: str, imputed: bool) -> Scale:
    present = [value for value in values if not is_missing(value)] if imputed else values
    if len(present) == 0:
        raise FeatureError(f"column {name!r} has no value in any row")
    numbers = as_numbers([present], [name], {})[0]
    std = float(numbers.std())
    return Scale(float(numbers.mean()), std if std > 0 else 1.0)


def _seen(values: Values, name: str, imputed: bool) -> list[str]:
    seen = set()
    for row, value in enumerate(values):
        if imputed and is_missing(value):
            continue
        if not isinstance(value, str):
            raise RowError(row, name, f"expected a text, got {shown(value)}")
        seen.add(str(value))
    return sorted(seen)


def _missing_policy(fact: Mapping[str, Any]) -> Mapping[str, Any]:
    policy = fact.get("missing", "reject")
    return policy if isinstance(policy, Mapping) else {}
