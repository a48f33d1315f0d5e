"""Asks the data plane, as a client would, which model answers. Called by `rollout.py`.

The request is the one the archive answered when it was built. Of rows, that is the example of its signature and the
question for the model's own name, so an answer proves that this build serves behind this address, and predicts what it
did then. Whole bodies and handlers of the model's own cannot be asked for a name: there only the answer is compared.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deployment.errors import DeployError, InputError

# torch of the serving image may be another one than the builder's.
TOLERANCE = 1e-3
REVISION_HEADER = "x-pdk-revision"


class NotAnswering(DeployError):
    """The address does not answer, or not (yet) from this build."""


class WrongAnswer(DeployError):
    """This build answers, but not what it answered when it was built."""


@dataclass(frozen=True)
class Example:
    """A body, None if there is none, and what the build answered it, None if that cannot be compared.

    `names_build`: the answer's last prediction names the build.
    """

    request: Mapping[str, Any] | None
    answer: Any
    names_build: bool


def read_example(path: Path) -> Example:
    """Read the report of the build's gate. Raises `InputError`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if "predictions" in document:
            return Example(document["request"], {"predictions": document["predictions"]}, names_build=True)
        return Example(document["request"], document["answer"], names_build=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the report deploy.py build writes: {error!r}") from error


def ask(endpoint: str, host: str, served_name: str, example: Example, timeout: float) -> str | None:
    """Send the example's request to `endpoint` (host:port or URL) with the given Host header.

    Gives the revision that answered if the ingress names it. Raises `NotAnswering` or `WrongAnswer`.
    """
    status, headers, body = _post(endpoint, host, f"/v1/models/{served_name}:predict", example.request or {}, timeout)
    if status != 200:
        raise NotAnswering(f"{endpoint} answers {status}: {body[:300].decode(errors='replace').strip()}")
    if example.names_build:
        _compare_named(endpoint, body, example.answer["predictions"])
    elif example.answer is not None:
        _compare(endpoint, body, example.answer)
    return headers.get(REVISION_HEADER)


def _compare_named(endpoint: str, body: bytes, expected: Sequence[Any]) -> None:
    try:
        predictions = json.loads(body)["predictions"]
        info, rows = predictions[-1], predictions[:-1]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise NotAnswering(f"{endpoint} gives no predictions: {body[:300].decode(errors='replace')}") from error
    if not isinstance(info, dict) or info.get("build_job") != expected[-1]["build_job"]:
        name = info.get("model_version") if isinstance(info, dict) else info
        raise NotAnswering(f"{endpoint} still answers from model version {name}")
    if not _alike(rows, expected[:-1]):
        raise WrongAnswer(
            f"model version {info.get('model_version')} serves, but predicts {rows} for the example "
            f"it predicted as {expected[:-1]} when it was built: do the libraries of the serving image differ?"
        )


def _compare(endpoint: str, body: bytes, expected: Any) -> None:
    """Another answer may be that of the version before, so it is no `WrongAnswer`."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = body.decode(errors="replace")
    if not _alike(answer, expected):
        raise NotAnswering(
            f"{endpoint} answers the example with {str(answer)[:300]}, this build answered {str(expected)[:300]}: "
            "is it the version before, or do the libraries of the serving image differ?"
        )


def _alike(given: Any, expected: Any) -> bool:
    """Compare two answers: numbers within a tolerance, all else exactly.

    Of [class, probabilities] the probabilities alone: the class follows from them, and may differ where one lies on the
    threshold.
    """
    if isinstance(expected, list):
        if not isinstance(given, list) or len(given) != len(expected):
            return False
        labelled = len(expected) == 2 and not isinstance(expected[0], float) and _numbers(expected[1])
        first = 1 if labelled else 0
        return all(map(_alike, given[first:], expected[first:]))
    if isinstance(expected, dict):
        same = isinstance(given, dict) and given.keys() == expected.keys()
        return same and all(_alike(given[name], expected[name]) for name in expected)
    if _is_number(expected) and _is_number(given):
        return math.isclose(given, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return type(given) is type(expected) and bool(given == expected)


def _numbers(value: Any) -> bool:
    """Whether a value is a fraction, or a list of them."""
    return isinstance(value, float) or (isinstance(value, list) and bool(value) and all(map(_numbers, value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _post(
    endpoint: str, host: str, path: str, body: Mapping[str, Any], timeout: float
) -> tuple[int, dict[str, str], bytes]:
    target = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    connection_type = HTTPSConnection if target.scheme == "https" else HTTPConnection
    headers = {"Host": host, "Content-Type": "application/json", "Connection": "close"}
    try:
        connection = connection_type(target.hostname or "", target.port, timeout=timeout)
        try:
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        raise NotAnswering(f"{endpoint} does not answer: {error}") from error
    return response.status, {name.lower(): value for name, value in response.getheaders()}, content
