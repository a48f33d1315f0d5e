"""Errors as Status objects."""

import inspect

import pytest

from pdk.base import errors as base
from pdk.kubernetes import errors
from pdk.kubernetes.api.status import CODES, failure, reason_of, success
from pdk.kubernetes.api.tables import NotAcceptable


def all_errors(category=base.PdkError):
    for subclass in category.__subclasses__():
        yield subclass
        yield from all_errors(subclass)


def test_every_error_has_a_reason_with_a_code():
    assert errors.ObjectNotFound in all_errors()
    for error in all_errors():
        # What a predictor raises goes into an InferenceService's status, never into an answer of the API.
        if error.__module__ in ("pdk.base.errors", "pdk.kubernetes.errors") and error is not errors.ObjectError:
            reason = getattr(error, "reason", None) or reason_of(error("x"))
            assert reason in CODES, error


def test_the_code_of_a_reason_fits_the_category_of_its_errors():
    codes = {base.NotFound: {404}, base.AlreadyExists: {409}, base.Conflict: {409, 410}, base.Unavailable: {429, 503}}
    for category, expected in codes.items():
        assert list(all_errors(category)), category
        for error in all_errors(category):
            if error.__module__ == "pdk.kubernetes.errors":
                assert CODES[error.reason] in expected, error


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (errors.ObjectNotFound("pods", "x"), 404, "NotFound"),
        (errors.ObjectConflict("pods", "x"), 409, "Conflict"),
        (errors.Expired(1, 5), 410, "Expired"),
        (NotAcceptable(), 406, "NotAcceptable"),
        (base.Unauthenticated("Unauthorized"), 401, "Unauthorized"),
        (base.Unavailable("x"), 503, "ServiceUnavailable"),
        (base.Internal("x"), 500, "InternalError"),
        (base.PdkError("x"), 500, "InternalError"),
    ],
)
def test_codes(error, code, reason):
    status = failure(error)
    assert (status["code"], status["reason"], status["status"]) == (code, reason, "Failure")
    assert status["message"] == str(error)


def test_details():
    causes = [errors.Cause("FieldValueRequired", "Required value", "spec.x"), errors.Cause("Other", "odd")]
    status = failure(errors.ObjectInvalid("InferenceService.serving.kserve.io", "n", causes))
    assert status["message"] == ('InferenceService.serving.kserve.io "n" is invalid: [spec.x: Required value, odd]')
    assert status["details"] == {
        "name": "n",
        "group": "serving.kserve.io",
        "kind": "InferenceService",
        "causes": [
            {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.x"},
            {"reason": "Other", "message": "odd"},
        ],
    }
    assert success("n", "", "pods", "u")["details"] == {"name": "n", "kind": "pods", "uid": "u"}


def test_the_tree_in_the_docstring_is_whole():
    for name, error in inspect.getmembers(errors, inspect.isclass):
        if error.__module__ == "pdk.kubernetes.errors" and issubclass(error, errors.ObjectError):
            assert name == "ObjectError" or name in errors.__doc__, name
