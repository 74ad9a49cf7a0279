from __future__ import annotations

import pytest

from assay.errors import Failed
from assay.media.huffman import AC, LIMIT, Tables


def test_a_short_code_is_found_at_once_for_all_bits_that_may_follow():
    tables = Tables()
    tables.define(0, (0, 1, *[0] * 14), b"\x07")  # the code 00
    row = tables.rows[0]
    assert row[0] == row[255] == 2 << 8 | 7
    assert row[256] == 0


def test_standard_tables_have_all_their_codes():
    row = Tables.standard().rows[AC]
    assert row[LIMIT + 16] == 0xFFFF  # the code of all ones alone is left free


def test_too_many_codes_of_a_length_fail():
    with pytest.raises(Failed, match="too many"):
        Tables().define(0, (3, *[0] * 15), b"\1\2\3")


def test_fewer_symbols_than_codes_fail():
    with pytest.raises(Failed, match="malformed"):
        Tables().define(0, (0, 3, *[0] * 14), b"\1\2")
