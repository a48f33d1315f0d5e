"""Errors of the Determined master; the texts are the original's wherever a client shows or matches them.

    NotFound            NoSuchThing (experiment, trial, checkpoint, model, ... not found)
    AlreadyExists       NameTaken
    InvalidArgument     InvalidConfig, InvalidContext, InvalidModelName, InvalidRequest
    FailedPrecondition  WrongState, ArchivedModel, RegisteredCheckpoints
    Unauthenticated     NotLoggedIn, WrongPassword
    PermissionDenied    InactiveUser, NotAllowed
    Unimplemented       CallNotServed
    Unavailable         DataFolderInUse

Raised by `pdk.determined.master` and `pdk.determined.store`, mapped to HTTP by `pdk.determined.api.errors` only.
"""

from typing import TypeVar

from pdk.base import errors

T = TypeVar("T")


class NoSuchThing(errors.NotFound):
    """Something named in a request does not exist; `str` names kind and id as the original does."""


class NameTaken(errors.AlreadyExists):
    """A workspace, project, model or user of this name exists."""


class InvalidRequest(errors.InvalidArgument):
    """A field of a request is missing or malformed."""


class InvalidConfig(errors.InvalidArgument):
    """The experiment configuration breaks a rule; lists every problem found with its path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("invalid experiment configuration: " + "; ".join(problems))
        self.problems = problems


class InvalidContext(errors.InvalidArgument):
    """The submitted model definition cannot be accepted (paths, sizes, kinds of entries)."""


class InvalidModelName(errors.InvalidArgument):
    """A model name breaks the registry's rules."""


class WrongState(errors.FailedPrecondition):
    """The experiment, trial or checkpoint is not in a state that allows this."""


class ArchivedModel(errors.FailedPrecondition):
    """The model is archived and can only be unarchived."""


class RegisteredCheckpoints(errors.InvalidArgument):
    """Checkpoints of registered model versions cannot be deleted."""


class NotLoggedIn(errors.Unauthenticated):
    """No token, or one that is unknown or expired."""


class WrongPassword(errors.Unauthenticated):
    """User name and password do not belong together."""


class InactiveUser(errors.PermissionDenied):
    """The user was deactivated."""


class NotAllowed(errors.PermissionDenied):
    """The caller is known but may not do this."""


class DataFolderInUse(errors.Unavailable):
    """Another master runs over the same data folder."""


class CallNotServed(errors.Unimplemented):
    """The original answers this request, this master does not."""


def found(value: T | None, text: str) -> T:
    """Return `value`; raises NoSuchThing(`text`) when there is none."""
    if value is None:
        raise NoSuchThing(text)
    return value
