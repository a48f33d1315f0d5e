import random

import pytest

from pdk.storage.chunking import MAX_BYTES, MIN_BYTES, Chunker


def chunks_of(data, cuts=()):
    chunker, chunks, start = Chunker(), [], 0
    for end in [*cuts, len(data)]:
        chunks += chunker.feed(data[start:end])
        start = end
    return chunks + chunker.finish()


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


def test_chunks_add_up_and_keep_their_bounds():
    data = noise(6 << 20)
    chunks = chunks_of(data)
    assert b"".join(chunks) == data
    assert all(MIN_BYTES <= len(chunk) <= MAX_BYTES for chunk in chunks[:-1])
    assert 90_000 < len(data) / len(chunks) < 180_000


def test_cuts_do_not_depend_on_how_the_stream_is_written():
    data, dice = noise(3 << 20), random.Random(1)
    whole = chunks_of(data)
    for _ in range(5):
        cuts = sorted(dice.randrange(len(data)) for _ in range(dice.choice([1, 10, 300])))
        assert chunks_of(data, cuts) == whole


def test_cuts_are_the_same_for_ever():
    # Stored data is found again only as long as these numbers stay.
    assert [len(chunk) for chunk in chunks_of(noise(1 << 20, seed=7))] == [
        200099,
        144447,
        185539,
        219436,
        113684,
        160191,
        25180,
    ]


def test_an_insertion_changes_only_the_chunks_next_to_it():
    data = noise(4 << 20)
    changed = data[: 1 << 20] + b"one more row\n" + data[1 << 20 :]
    assert len(set(chunks_of(changed)) - set(chunks_of(data))) <= 2


def test_chunking_can_start_again_at_a_cut():
    chunks = chunks_of(noise(2 << 20))
    assert chunks_of(b"".join(chunks[3:])) == chunks[3:]


def test_bytes_without_any_cut_end_at_the_longest_chunk():
    assert [len(chunk) for chunk in chunks_of(bytes(2 * MAX_BYTES + 5))] == [MAX_BYTES, MAX_BYTES, 5]


@pytest.mark.parametrize("size", [0, 1, MIN_BYTES - 1, MIN_BYTES, MIN_BYTES + 1])
def test_short_streams(size):
    assert b"".join(chunks_of(noise(size))) == noise(size)
    assert len(chunks_of(noise(size))) == (1 if size else 0)
