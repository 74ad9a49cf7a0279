"""The multi-picture index."""

from __future__ import annotations

import struct

import pytest

from assay.media.container import mpf
from assay.media.container.draft import Draft
from assay.media.container.source import Malformed, Source


def test_the_further_pictures_are_summed():
    entries = b"".join(struct.pack(">III4x", 0, size, 0) for size in (900, 30, 12))
    index = b"MM\0*" + struct.pack(">IHHHIII", 8, 1, 0xB002, 7, 48, 26, 0) + entries
    draft = Draft("image/jpeg", 1, "0")
    assert mpf.read(Source.of(index), draft) == 42
    assert draft.metadata == {"mpf:NumberOfImages": "3"}


def test_an_index_without_byte_order_is_malformed():
    with pytest.raises(Malformed):
        mpf.read(Source.of(b"zz*\0\0\0\0\0"), Draft("image/jpeg", 1, "0"))
