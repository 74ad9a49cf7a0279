"""Words in colour profiles."""

from __future__ import annotations

import struct

from assay.media.container import icc
from assay.media.container.draft import Draft


def profile(*elements: tuple[bytes, bytes]) -> bytes:
    head = bytes(16) + b"RGB " + bytes(16) + b"acsp" + bytes(40) + b"lcms" + bytes(44)
    table, heap = struct.pack(">I", len(elements)), b""
    at = 132 + 12 * len(elements)
    for name, body in elements:
        table += name + struct.pack(">II", at + len(heap), len(body))
        heap += body
    return head + table + heap


def read(data: bytes) -> Draft:
    draft = Draft("image/jpeg", 1, "0")
    icc.read(data, draft)
    return draft


def test_descriptions_of_both_versions_are_read():
    old = b"desc" + bytes(4) + struct.pack(">I", 5) + b"Wide\0"
    new = (
        b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 8, 28) + "sRGB".encode("utf-16-be")
    )
    assert read(profile((b"desc", old))).metadata["icc:description"] == "Wide"
    metadata = read(profile((b"desc", new), (b"cprt", b"text" + bytes(4) + b"nobody"))).metadata
    assert (metadata["icc:description"], metadata["icc:copyright"]) == ("sRGB", "nobody")
    assert (metadata["icc:creator"], metadata["icc:space"]) == ("lcms", "RGB")


def test_bytes_that_are_no_profile_are_noticed():
    assert read(b"none").warnings == ["the ICC profile is malformed"]
    assert "icc:description" not in read(profile((b"desc", b""))).metadata
