"""Names, labels and annotations: the rules of k8s.io/apimachinery pkg/util/validation, with its texts.

Used by the object store on every write, so that no name can ever leave its folder, URL or host name.
"""

import re
from collections.abc import Iterator
from typing import Any

from pdk.kubernetes.errors import Cause

LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
)
LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    f"regex used for validation is '{LABEL_1035}')"
)
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
)
QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED}')"
)
VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'({QUALIFIED})?')"
)
ANNOTATIONS_LIMIT = 256 * 1024


def is_label(text: str) -> bool:
    """Tell whether `text` is an RFC 1123 label: a namespace, a container."""
    return len(text) <= 63 and re.fullmatch(LABEL, text) is not None


def is_subdomain(text: str) -> bool:
    """Tell whether `text` is an RFC 1123 subdomain: the name of most objects."""
    return len(text) <= 253 and re.fullmatch(SUBDOMAIN, text) is not None


def label_problem(name: str) -> str | None:
    """Return what is wrong with the name of a namespace, None when nothing is."""
    return _problem(name, is_label(name), 63, LABEL_TEXT)


def label_1035_problem(name: str) -> str | None:
    """Return what is wrong with the name of a Service, None when nothing is."""
    return _problem(name, re.fullmatch(LABEL_1035, name) is not None, 63, LABEL_1035_TEXT)


def subdomain_problem(name: str) -> str | None:
    """Return what is wrong with the name of any other object, None when nothing is."""
    return _problem(name, is_subdomain(name), 253, SUBDOMAIN_TEXT)


def _problem(name: str, valid: bool, limit: int, text: str) -> str | None:
    if len(name) > limit:
        return f"must be no more than {limit} characters"
    return None if valid else text


def qualified_name_problem(text: str) -> str | None:
    """Return what is wrong with a label or annotation key (`[prefix/]name`), None when nothing is."""
    prefix, slash, name = text.rpartition("/")
    if slash and not is_subdomain(prefix):
        return f"prefix part {SUBDOMAIN_TEXT}" if prefix else "prefix part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 characters"
    return None if re.fullmatch(QUALIFIED, name) else QUALIFIED_TEXT


def label_causes(labels: dict[str, str], field: str = "metadata.labels") -> Iterator[Cause]:
    """Yield a cause for each label that breaks a rule."""
    for key, value in labels.items():
        problem = qualified_name_problem(key)
        if problem:
            yield invalid(field, key, problem)
        if len(value) > 63:
            yield invalid(field, value, "must be no more than 63 characters")
        elif value and not re.fullmatch(QUALIFIED, value):
            yield invalid(field, value, VALUE_TEXT)


def annotation_causes(annotations: dict[str, str]) -> Iterator[Cause]:
    """Yield a cause for each bad key, and one when all of them together are too long."""
    for key in annotations:
        problem = qualified_name_problem(key.lower())
        if problem:
            yield invalid("metadata.annotations", key, problem)
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        message = f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"
        yield Cause("FieldValueTooLong", message, "metadata.annotations")


def invalid(field: str, value: Any, problem: str) -> Cause:
    """Return the cause `Invalid value: "x": ...` for a field."""
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return Cause("FieldValueInvalid", f"Invalid value: {shown}: {problem}", field)


def required(field: str, problem: str = "") -> Cause:
    """Return the cause `Required value` for a field."""
    return Cause("FieldValueRequired", f"Required value: {problem}" if problem else "Required value", field)
