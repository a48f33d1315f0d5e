"""Content-defined chunking: where a stream of bytes is cut depends on its content alone.

Used by `contents.py`. A cut falls after a byte whose gear hash (over the 32 bytes that end with it) has 16 zero bits,
at least `MIN_BYTES` and at most `MAX_BYTES` after the previous cut. So an insertion moves only the cuts next to it,
equal content is cut equally however it was written, and chunking can start again at any cut. The same idea as in
restic and in Pachyderm's `internal/storage/chunk`; the gear hash is FastCDC's, computed for a whole block at once: the
sum over a window of 2n bytes is the sum over n bytes plus that of the n bytes before, shifted by n, so five doublings
make 32.
"""

import hashlib

import numpy as np
import numpy.typing as npt

MIN_BYTES = 64 << 10
# With 16 mask bits a chunk has 128 KiB on average.
MAX_BYTES = 512 << 10

WINDOW = 32
_MASK = np.uint32(0xFFFF0000)
# How much is hashed at once: the working arrays are four times that and should stay in the processor's cache.
_STEP_BYTES = 64 << 10


def _gear_table() -> npt.NDArray[np.uint32]:
    """Return 256 fixed random numbers; changing them changes every cut, so never."""
    digests = b"".join(hashlib.blake2b(bytes([i]), digest_size=4, person=b"pdk-gear").digest() for i in range(256))
    return np.frombuffer(digests, dtype="<u4").astype(np.uint32)


_GEAR = _gear_table()


class Chunker:
    """Cuts one stream; `feed` and `finish` return the chunks completed by what they were given."""

    def __init__(self) -> None:
        # Bytes of the present chunk and what was fed beyond it.
        self._pending = bytearray()
        # The present chunk is longer than this.
        self._rejected = MIN_BYTES - 1

    @property
    def empty(self) -> bool:
        """Whether the bytes fed so far end at a cut (asked after an eager `feed`)."""
        return not self._pending

    def feed(self, data: bytes | memoryview, eager: bool = False) -> list[bytes]:
        """Add bytes to the stream; `eager`: look for cuts up to the last byte, which costs more for small pieces."""
        chunks: list[bytes] = []
        view = memoryview(data)
        for start in range(0, len(view), MAX_BYTES):
            self._pending += view[start : start + MAX_BYTES]
            chunks += self._cut(1 if eager else _STEP_BYTES)
        return chunks

    def finish(self) -> list[bytes]:
        """End the stream; the last chunk may be shorter than MIN_BYTES."""
        chunks = self._cut(1)
        if self._pending:
            chunks.append(bytes(self._pending))
            self._pending.clear()
        return chunks

    def _cut(self, at_least: int) -> list[bytes]:
        """Return the complete chunks; look for a cut only where `at_least` bytes are there to look through."""
        chunks = []
        while (length := self._next_cut(at_least)) is not None:
            chunks.append(bytes(self._pending[:length]))
            del self._pending[:length]
            self._rejected = MIN_BYTES - 1
        return chunks

    def _next_cut(self, at_least: int) -> int | None:
        limit = min(len(self._pending), MAX_BYTES)
        while self._rejected + (at_least if limit < MAX_BYTES else 1) <= limit:
            end = min(self._rejected + _STEP_BYTES, limit)
            length = _first_cut(self._pending, self._rejected + 1, end)
            if length is not None:
                return length
            self._rejected = end
        return MAX_BYTES if self._rejected == MAX_BYTES else None


def _first_cut(data: bytearray, shortest: int, longest: int) -> int | None:
    """Return the first length from `shortest` to `longest` at which the gear hash asks for a cut, or None."""
    window_start = shortest - WINDOW
    sums = _GEAR[np.frombuffer(data, dtype=np.uint8, count=longest - window_start, offset=window_start)]
    width = 1
    while width < WINDOW:
        sums[width:] += sums[:-width] << np.uint32(width)
        width *= 2
    hits = np.flatnonzero((sums[WINDOW - 1 :] & _MASK) == 0)
    return shortest + int(hits[0]) if len(hits) else None
