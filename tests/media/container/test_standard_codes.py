"""Huffman tables by name."""

from __future__ import annotations

from assay.media.container.standard_codes import STANDARD, name_of

# T.81, table K.3: how many codes of each length, then the categories in order
DC_LUMINANCE = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]) + bytes(range(12))


def test_the_table_of_the_standard_is_known():
    assert name_of(DC_LUMINANCE) == "standard:dc0"
    assert sorted(STANDARD.values()) == ["standard:ac0", "standard:ac1", "standard:dc0", "standard:dc1"]


def test_any_other_table_has_its_digest():
    other = name_of(DC_LUMINANCE[:-1] + b"\x0c")
    assert other.startswith("custom:")
    assert other != name_of(b"")
