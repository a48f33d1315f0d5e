"""Identifiers in the shapes the original systems use."""

import uuid


def new_id() -> str:
    """Return a random UUID 4 as 32 hex digits without dashes: Pachyderm's commit, job and transaction ids."""
    return uuid.uuid4().hex


def new_uuid() -> str:
    """Return a random UUID 4 with dashes: Determined's checkpoints and Kubernetes' uids."""
    return str(uuid.uuid4())


def is_id(text: str) -> bool:
    """Return whether `text` has the shape of `new_id`: 32 hex digits, the 13th a 4, as pachd's parser asks."""
    return len(text) == 32 and text[12] == "4" and all(c in "0123456789abcdef" for c in text)
