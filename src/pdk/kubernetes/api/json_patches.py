"""JSON patch (RFC 6902), as kubectl and the Python clients send it.

Pure functions called by `patches.py`; the patched object is built anew, the given one is not touched. JSON patches are
applied by the `jsonpatch` library, one operation at a time, so that no patch can grow an object without end.
"""

import copy
import json
from typing import Any

from jsonpatch import JsonPatch, JsonPatchException, JsonPatchPathNotFound, JsonPatchTestFailed
from jsonpointer import JsonPointerException, resolve_pointer

from pdk.kubernetes.errors import BadRequest, Cause, ObjectInvalid
from pdk.kubernetes.kinds.json_object import JsonObject

OPERATIONS_LIMIT = 10_000
# Bytes that all `copy` operations of one patch may add.
COPY_LIMIT = 3 * 1024 * 1024


def json_patch(target: Any, operations: Any) -> Any:
    """Return `target` with a list of operations applied.

    Raises BadRequest for a patch that cannot be read, ObjectInvalid (422) for one that does not fit the object, a
    failed `test` included.
    """
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise BadRequest("a JSON patch must be a list of operations")
    if len(operations) > OPERATIONS_LIMIT:
        raise BadRequest(f"a JSON patch may have at most {OPERATIONS_LIMIT} operations, this one has {len(operations)}")
    document, copied = copy.deepcopy(target), 0
    for operation in operations:
        _check_operation(operation)
        try:
            if operation["op"] == "copy":
                # `-`, the place behind a list, is no JSON: the copy itself refuses it.
                copied += len(json.dumps(resolve_pointer(document, operation["from"]), default=str))
                if copied > COPY_LIMIT:
                    raise BadRequest(f"the copy operations of the patch add more than {COPY_LIMIT} bytes")
            document = JsonPatch([operation]).apply(document, in_place=True)
        except JsonPatchTestFailed:
            raise _does_not_fit(operation, "testing the value failed: it is not the expected one") from None
        except (JsonPatchPathNotFound, JsonPointerException):
            # Not in the library's words: they repeat the object, which may be a Secret.
            raise _does_not_fit(operation, "there is no such value") from None
        except JsonPatchException as error:
            raise _does_not_fit(operation, str(error)) from None
    return document


def _check_operation(operation: JsonObject) -> None:
    op = operation.get("op")
    if not isinstance(op, str) or op not in JsonPatch.operations:
        raise BadRequest(f"unexpected kind of operation in a JSON patch: {op!r}")
    for name in ("path", "from") if op in ("move", "copy") else ("path",):
        pointer = operation.get(name)
        if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
            raise BadRequest(f"the {name} of a JSON patch operation must be a JSON pointer, not {pointer!r}")
    if op in ("add", "replace", "test") and "value" not in operation:
        raise BadRequest(f"the {op} operation on {operation['path']} has no value")


def _does_not_fit(operation: JsonObject, why: str) -> ObjectInvalid:
    path = operation["path"]
    return ObjectInvalid("JSONPatch", path, [Cause("FieldValueInvalid", why, path)])
