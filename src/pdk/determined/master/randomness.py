"""The random numbers of hyperparameter search: numpy's legacy RandomState, so that a seed gives the original's trials.

Written out because numpy costs the server import time and memory for three functions. Mirrors master/pkg/nprand.
"""

import random

_WORDS = 624
_MASK = 0xFFFFFFFF


class LegacyRandom:
    """What `numpy.random.RandomState(seed)` gives, for seeds of 32 bits."""

    def __init__(self, seed: int) -> None:
        words = [seed & _MASK]
        for i in range(1, _WORDS):
            words.append((1812433253 * (words[-1] ^ (words[-1] >> 30)) + i) & _MASK)
        # Python's Random is the same Mersenne twister, it only seeds it differently.
        self._twister = random.Random()
        self._twister.setstate((3, (*words, _WORDS), None))

    def uniform(self, low: float, high: float) -> float:
        """Return a float in [low, high)."""
        return low + (high - low) * self._twister.random()

    def integer(self, bound: int) -> int:
        """Return an integer in [0, bound), bound at most 2**32, as `randint(bound)`."""
        largest = bound - 1
        if largest == 0:
            return 0
        mask = (1 << largest.bit_length()) - 1
        while (value := self._twister.getrandbits(32) & mask) > largest:
            continue
        return value

    def bytes(self, count: int) -> bytes:
        """Return random bytes, as `bytes(count)`."""
        words = (self._twister.getrandbits(32) for _ in range((count + 3) // 4))
        return b"".join(word.to_bytes(4, "little") for word in words)[:count]
