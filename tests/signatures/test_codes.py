from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.signatures.codes import distances, from_bits, from_hex, stacked, to_bits, to_hex


@given(st.integers(0, (1 << 256) - 1))
def test_a_code_is_the_same_as_text_as_words_and_as_bits(number: int) -> None:
    text = f"{number:064x}"
    code = from_hex(text.upper())
    assert to_hex(code) == text
    assert sum(int(word) << (64 * n) for n, word in enumerate(code)) == number
    assert sum(int(bit) << n for n, bit in enumerate(to_bits(code))) == number
    assert (from_bits(to_bits(code)) == code).all()


@given(st.integers(0, (1 << 256) - 1), st.integers(0, (1 << 256) - 1))
def test_distance_counts_differing_bits(a: int, b: int) -> None:
    assert distances(from_hex(f"{a:064x}"), from_hex(f"{b:064x}")) == (a ^ b).bit_count()


@pytest.mark.parametrize(
    "text", ["", "0" * 63, "0" * 65, "g" * 64, "0" * 63 + "\n", " " + "0" * 63, "\u0660" * 64]
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a code of 256 bits"):
        from_hex(text)


def test_codes_are_stacked_to_rows_even_where_there_are_none() -> None:
    assert stacked([]).shape == (0, 4)
    assert stacked([from_hex("0" * 64)] * 3).shape == (3, 4)
    with pytest.raises(ValueError, match="shape"):
        to_hex(np.zeros((2, 4), np.uint64))
