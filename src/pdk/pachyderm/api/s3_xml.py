"""The XML documents of the S3 protocol that the gateway answers with. Used by `s3.py`."""

import datetime
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote
from xml.sax.saxutils import escape

from pdk.pachyderm.api.s3_buckets import Listing, key_of
from pdk.pachyderm.pfs.types import FileInfo

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
LOCATION = "PACHYDERM"
OWNER = "<Owner><ID>00000000000000000000000000000000</ID><DisplayName>pachyderm</DisplayName></Owner>"


def document(root: str, *parts: str) -> bytes:
    """Return a document from its parts, which are XML already."""
    body = "".join(parts)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{body}</{root}>'.encode()


def element(name: str, value: object) -> str:
    """Return `<name>value</name>`, escaped."""
    return f"<{name}>{escape(str(value))}</{name}>"


def error(code: str, message: str, resource: str, request_id: str) -> bytes:
    """Return an error."""
    fields = (("Code", code), ("Message", message), ("Resource", resource), ("RequestId", request_id))
    body = "".join(element(name, value) for name, value in fields)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{body}</Error>'.encode()


def buckets(entries: Iterable[tuple[str, datetime.datetime]]) -> bytes:
    """Return the answer to ListBuckets."""
    items = (
        f"<Bucket>{element('Name', name)}{element('CreationDate', _time(made))}</Bucket>" for name, made in entries
    )
    return document("ListAllMyBucketsResult", OWNER, "<Buckets>", *items, "</Buckets>")


def listing(page: Listing, echoed: Sequence[tuple[str, object]], encoded: bool, opened: datetime.datetime) -> bytes:
    """Return the answer to ListObjects (v1 or v2); `echoed` are its own fields, `opened` replaces missing times."""
    encode: Callable[[str], str] = quote if encoded else str
    return document(
        "ListBucketResult",
        *(element(name, value) for name, value in echoed),
        *(_object(info, encode, opened) for info in page.objects),
        *(f"<CommonPrefixes>{element('Prefix', encode(prefix))}</CommonPrefixes>" for prefix in page.prefixes),
    )


def _object(info: FileInfo, encode: Callable[[str], str], opened: datetime.datetime) -> str:
    fields = (
        element("Key", encode(key_of(info))),
        element("LastModified", _time(info.committed or opened)),
        element("ETag", f'"{info.hash.hex()}"'),
        element("Size", info.size_bytes),
        OWNER,
        element("StorageClass", "STANDARD"),
    )
    return f"<Contents>{''.join(fields)}</Contents>"


def _time(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
