"""Objects as they are on the wire: plain JSON, which is what kinds nobody knows in advance allow."""

from typing import Any, NewType

JsonObject = dict[str, Any]
# metadata.uid: names one object for ever, as names are given again.
Uid = NewType("Uid", str)
