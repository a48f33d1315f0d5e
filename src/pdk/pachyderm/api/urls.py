"""Fetch a file from a URL for `add_file.url`; mirrors `src/server/pfs/server/url.go` of pachd (http and https only)."""

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

from pdk.base.errors import Internal, Unimplemented

TIMEOUT_SECONDS = 60.0
_PIECE_BYTES = 1 << 20


def read_url(url: str) -> Iterator[bytes]:
    """Yield the body of a GET. Raises Internal with a status of 400 or more, Unimplemented for another scheme."""
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise Unimplemented(f"cannot add a file from {url!r}: only http and https are implemented")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            while piece := response.read(_PIECE_BYTES):
                yield piece
    except urllib.error.HTTPError as error:
        raise Internal(f'error retrieving content from "{url}": {error.code} {error.reason}') from error
    except OSError as error:
        raise Internal(f'error retrieving content from "{url}": {error}') from error
