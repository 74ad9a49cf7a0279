"""Bounded reads."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.media.container.source import Malformed, Source


class Slow(io.BytesIO):
    """Answers with one byte at a time, as a raw file may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 1))


def test_no_read_leaves_the_window():
    window = Source.of(b"0123456789").window(2, 4)
    assert window.upto(0, 100) == b"2345"
    assert window.upto(3, 4) == b"5"
    assert window.upto(9, 1) == b""
    assert window.upto(-1, 4) == b""
    assert window.window(1, 100).size == 3


def test_what_is_announced_and_missing_is_malformed():
    with pytest.raises(Malformed):
        Source.of(b"ab").exactly(1, 2)
    with pytest.raises(Malformed):
        Source.of(b"ab").unpack(">I", 0)


def test_a_short_answer_is_completed():
    assert Source(Slow(b"abcdef"), 6).exactly(1, 4) == b"bcde"


def test_a_file_that_shrank_ends_where_it_ends():
    assert Source(io.BytesIO(b"abc"), 10).upto(0, 10) == b"abc"


@given(st.binary(max_size=200), st.integers(0, 250), st.integers(0, 250))
def test_pieces_join_to_the_whole(data, start, end):
    assert b"".join(piece for _, piece in Source.of(data).chunks(start, end)) == data[start:end]


def test_pieces_grow_and_know_their_place():
    data = bytes(range(256)) * 400
    places = list(Source.of(data).chunks(5, len(data)))
    assert [len(piece) for _, piece in places][:2] == [1 << 14, 1 << 16]
    assert all(data[at : at + len(piece)] == piece for at, piece in places)
