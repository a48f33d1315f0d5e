"""The signature of a model: what goes in and what comes out, as JSON Schema (draft 7), with an example.

Written into every checkpoint by ``checkpoints.py``; the build, ``pdk check`` and whoever draws a form read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from feature_spec import FeatureSpec


def signature_of(spec: FeatureSpec, contract: Mapping[str, Any]) -> dict[str, Any]:
    """The document of ``signature.json`` for a fitted preprocessing."""
    properties = {name: _column(spec, name) for name in spec.columns}
    document: dict[str, Any] = {
        "task": "regression" if spec.task == "regression" else "classification",
        "input": {"type": "object", "properties": properties, "required": list(spec.columns)},
        "output": _output(spec),
        "example": _example(spec),
        "csv": {key: contract[key] for key in ("separator", "encoding", "decimal", "strip") if key in contract},
    }
    if spec.task != "regression":
        document["classes"] = list(spec.classes)
        document["parameters"] = {"probabilities": {"type": "boolean", "default": False}}
    return document


def _output(spec: FeatureSpec) -> dict[str, Any]:
    if spec.task == "regression":
        return {"type": "array", "items": [{"type": "number"}], "minItems": 1, "maxItems": 1}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    what = "that of class 1" if spec.task == "binary" else "one for each class, in the order of classes"
    return {
        "description": f"the class, and where probabilities are asked for, {what}",
        "type": "array",
        "items": [{"enum": list(spec.classes)}, share if spec.task == "binary" else {"type": "array", "items": share}],
        "minItems": 1,
        "maxItems": 2,
    }


def _column(spec: FeatureSpec, name: str) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": "number"}
    if name in spec.categorical:
        kind = {"type": "string"}
        if not spec.allow_unknown_categories:
            kind["enum"] = [*spec.categorical[name]]
    if name not in spec.impute:
        return kind
    if "enum" in kind:
        kind["enum"].append(None)
    return {**kind, "type": [kind["type"], "null"]}


def _example(spec: FeatureSpec) -> dict[str, Any]:
    """A body any copy of the model can answer: two rows at the fitted means, with the first and the last category of
    each column, asking for probabilities where there are some.
    """
    columns: dict[str, list[Any]] = {name: [scale.mean] * 2 for name, scale in spec.numeric.items()}
    columns.update({name: [values[0], values[-1]] for name, values in spec.categorical.items()})
    asked = {} if spec.task == "regression" else {"parameters": {"probabilities": True}}
    return {"instances": [{"data": columns, **asked}]}
