"""The probe of a model archive: a request, and the answer its build got, that decide whether a revision may serve.

`probe.json` in a .mar is a V1 predict body, or `{"request": <body>, "predictions": [...]}`; the second form is what a
build writes that has asked the archive itself. Read by `archives`, asked by `lifecycle` through `torchserve`.
"""

import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

# Relative or absolute: another machine adds up floats in another order.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Probe:
    """`predictions` is what must be answered; None when any finite answer will do."""

    request: Mapping[str, Any]
    predictions: list[Any] | None = None

    def document(self) -> dict[str, Any]:
        """Return what `parse_probe` reads."""
        return {"request": self.request} | ({} if self.predictions is None else {"predictions": self.predictions})


def parse_probe(value: object) -> Probe:
    """Read the content of probe.json in either form; raise ValueError saying what it must be."""
    document = value if isinstance(value, dict) else {}
    wrapped = "request" in document
    request = document["request"] if wrapped else document
    predictions = document.get("predictions") if wrapped else None
    if not isinstance(request, dict) or not isinstance(request.get("instances"), list):
        raise ValueError('must be a V1 request {"instances": [...]}, or hold it as "request"')
    if predictions is not None and not isinstance(predictions, list):
        raise ValueError('must hold a list as "predictions", or none')
    return Probe(request, predictions)


def difference(expected: object, answered: object, where: str = "predictions") -> str:
    """Return where two JSON values first differ and how, empty when they are equal within TOLERANCE."""
    if isinstance(expected, list) and isinstance(answered, list):
        if len(expected) != len(answered):
            return f"{where} has {len(answered)} entries instead of {len(expected)}"
        pairs = [(f"{where}[{index}]", *pair) for index, pair in enumerate(zip(expected, answered, strict=True))]
    elif isinstance(expected, dict) and isinstance(answered, dict):
        if expected.keys() != answered.keys():
            return f"{where} has the keys {sorted(answered)} instead of {sorted(expected)}"
        pairs = [(f"{where}.{key}", expected[key], answered[key]) for key in expected]
    else:
        return "" if _same(expected, answered) else f"{where} is {answered!r:.100} instead of {expected!r:.100}"
    return next((found for place, old, new in pairs if (found := difference(old, new, place))), "")


def _same(expected: object, answered: object) -> bool:
    if {type(expected), type(answered)} <= {int, float}:
        try:
            return math.isclose(expected, answered, rel_tol=TOLERANCE, abs_tol=TOLERANCE)  # type: ignore[arg-type]
        except OverflowError:  # an integer beyond any float
            return expected == answered
    return type(expected) is type(answered) and expected == answered


def in_background(ask: Callable[[], None], name: str) -> Future[None]:
    """Run `ask` in a thread of its own, so that a slow model does not hold up a worker of the controller."""
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            ask()
        except Exception as error:  # noqa: BLE001 - handed to whoever looks at the outcome
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    threading.Thread(target=run, name=name, daemon=True).start()
    return outcome
