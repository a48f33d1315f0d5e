"""Names that projects, repos and branches may have; mirrors pachd's `server_repo.go`, `ancestry.ValidateName`."""

import re

from pdk.pachyderm.errors import InvalidName
from pdk.pachyderm.values import RepoType

MAX_PROJECT_LENGTH = 51

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def is_name(name: str) -> bool:
    """Tell whether `name` suits a repo, branch or pipeline."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Raise InvalidName unless `name` suits a repo, branch or pipeline."""
    if not is_name(name):
        raise InvalidName(f"name ({name}) invalid: only alphanumeric characters, underscores, and dashes are allowed")


def check_project_name(name: str) -> None:
    """Raise InvalidName unless `name` suits a project."""
    check_name(name)
    if len(name) > MAX_PROJECT_LENGTH:
        raise InvalidName(
            f"project name {name!r} is {len(name) - MAX_PROJECT_LENGTH} characters longer "
            f"than the {MAX_PROJECT_LENGTH} max"
        )
    if not name[0].isalnum():
        raise InvalidName(f"project names must start with an alphanumeric character, got {name!r}")


def check_repo_type(type_: str) -> None:
    """Raise InvalidName unless `type_` is one of the three repo types."""
    if type_ not in list(RepoType):
        raise InvalidName(f"repo type {type_!r} invalid: must be one of {', '.join(RepoType)}")
