"""The signature of a model: what goes in and what comes out, as JSON Schema (draft 7), with an example.

Written into every checkpoint by ``checkpoints.py``; the build, ``pdk check`` and whoever draws a form read it.
"""

from __future__ import annotations

from typing import Any

from features import FeatureSpec


def signature_of(spec: FeatureSpec) -> dict[str, Any]:
    """The document of ``signature.json`` for a fitted preprocessing."""
    properties = {name: _column(spec, name) for name in spec.columns}
    return {
        "task": "classification",
        "input": {"type": "object", "properties": properties, "required": list(spec.columns)},
        "output": {
            "description": "the class, and where probabilities are asked for, that of class 1",
            "type": "array",
            "items": [{"enum": [0, 1]}, {"type": "number", "minimum": 0, "maximum": 1}],
            "minItems": 1,
            "maxItems": 2,
        },
        "classes": [0, 1],
        "parameters": {"probabilities": {"type": "boolean", "default": False}},
        "example": _example(spec),
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
    each column, asking for probabilities.
    """
    columns: dict[str, list[Any]] = {name: [scale.mean] * 2 for name, scale in spec.numeric.items()}
    columns.update({name: [values[0], values[-1]] for name, values in spec.categorical.items()})
    return {"instances": [{"data": columns, "parameters": {"probabilities": True}}]}
