"""JSON merge patch (RFC 7386, now 7396): null removes, objects merge, everything else replaces.

Pure: engines may import it. Kubernetes' merge patches and the layers of a pipeline spec are applied with it.
"""

from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with `patch` applied; neither is changed, and the result shares their inner values."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
