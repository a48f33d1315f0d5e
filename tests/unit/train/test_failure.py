from types import SimpleNamespace

import grpc
import pytest
from determined.common.api import errors
from train_job.failure import TrainError, is_transient, patiently


def status(code):
    return errors.APIException(SimpleNamespace(status_code=code, json=lambda: {"error": {"error": "x"}}))


class CallError(grpc.RpcError, grpc.Call):
    def __init__(self, code):
        self._code = code

    def code(self):
        return self._code


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (errors.MasterNotFoundException("refused"), True),
        (errors.BadRequestException("read timed out"), True),
        (status(503), True),
        (status(500), True),
        (status(501), False),
        (status(400), False),
        (status(409), False),
        (errors.NotFoundException("gone"), False),
        (errors.UnauthenticatedException(), False),
        (errors.ForbiddenException("no"), False),
        (ConnectionError("nobody there"), True),
        (CallError(grpc.StatusCode.UNAVAILABLE), True),
        (CallError(grpc.StatusCode.NOT_FOUND), False),
    ],
)
def test_which_errors_pass(error, transient):
    assert is_transient(error) is transient


def test_patience_has_an_end():
    calls = []

    def action():
        calls.append(1)
        raise errors.MasterNotFoundException("refused")

    with pytest.raises(errors.MasterNotFoundException):
        patiently(action, "trying", seconds=2)
    assert len(calls) == 2  # another pause would end after the deadline


def test_a_refusal_is_not_tried_again():
    answers = iter([status(400), "never reached"])

    def action():
        raise next(answers)

    with pytest.raises(errors.APIException):
        patiently(action, "trying")
    assert next(answers) == "never reached"


def test_an_error_says_what_where_and_what_to_do():
    assert str(TrainError("it broke", "here", "mend it")) == "it broke\n  where: here\n  what to do: mend it"
