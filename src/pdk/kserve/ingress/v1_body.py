"""What KServe's own model server checks of a V1 predict or explain before the model sees it.

Called by the gateway for every body that is not a multipart form; a form is TorchServe's to take apart. Mirrors
`DataPlane.decode` (orjson: UTF-8 without a byte order mark, no NaN, no number beyond a double) and `Model.validate` of
kserve 0.14; a body without "instances" goes to the model there too. Costs 5 us for a row of 88 columns, and 8 ms for a
thousand, of the 47 that TorchServe takes with a handler that does nothing: to find NaN alone takes half of that, and
a number beyond a double cannot be found without reading them all.
"""

import re

import orjson

UNREADABLE = "Unrecognized request format: "
NO_LIST = 'Expected "instances" to be a list'
CONSTANT = re.compile(r"-?(NaN|Infinity)")


def is_form(content_type: bytes) -> bool:
    """Return whether a body is a multipart form by its Content-Type."""
    return content_type.lower().startswith(b"multipart/form-data")


def problem(body: bytes) -> str:
    """Return what is wrong with a V1 body, for the client; empty when nothing is."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return UNREADABLE + (_cause(body, error.pos) or str(error))
    if isinstance(value, dict) and not isinstance(value.get("instances", []), list):
        return NO_LIST
    return ""


def misses_instances(body: bytes) -> bool:
    """Return whether a JSON body holds no "instances": only a model that reads whole bodies can answer it."""
    value = orjson.loads(body)
    return not isinstance(value, dict) or "instances" not in value


def _cause(body: bytes, position: int) -> str:
    """Say what the parser has no words for: another encoding, or a number that JSON does not have."""
    if body[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "the body is UTF-32 text; JSON is sent as UTF-8"
    if body[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in body[:2]:
        return "the body is UTF-16 text; JSON is sent as UTF-8"
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return f"the body is not UTF-8 text: {error.reason} at byte {error.start}"
    # The parser stops behind the sign of -Infinity.
    start = position - 1 if text[position - 1 : position] == "-" else position
    found = CONSTANT.match(text, start)
    return f"{found[0]} is not JSON: char {start}" if found else ""
