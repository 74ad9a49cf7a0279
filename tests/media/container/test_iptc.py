"""Photoshop resources and IPTC datasets."""

from __future__ import annotations

import struct

from assay.media.container import iptc
from assay.media.container.draft import Draft
from assay.testing import containers


def read(data: bytes) -> Draft:
    draft = Draft("image/jpeg", len(data), "0")
    iptc.read_resources(data, draft)
    return draft


def resource(number: int, body: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HxxI", number, len(body)) + body + b"\0" * (len(body) % 2)


def test_repeated_keywords_are_joined():
    body = b"".join(struct.pack(">BBBH", 0x1C, 2, 25, 1) + letter for letter in (b"a", b"b"))
    assert read(resource(0x0404, body)).metadata["iptc:Keywords"] == "a; b"


def test_without_a_charset_latin_letters_survive():
    body = struct.pack(">BBBH", 0x1C, 2, 80, 5) + "Gr\xfc\xdfe".encode("latin-1")
    assert read(resource(0x0404, body)).metadata["iptc:By-line"] == "Grüße"


def test_a_dataset_of_extended_length_is_read():
    body = struct.pack(">BBBHI", 0x1C, 2, 120, 0x8004, 5) + b"words"
    assert read(resource(0x0404, body)).metadata["iptc:Caption-Abstract"] == "words"


def test_quality_digest_and_resources_are_recorded():
    data = (
        resource(0x0406, struct.pack(">h", 6) + bytes(4))
        + resource(0x0425, bytes(16))
        + resource(0x0424, b"")
    )
    metadata = read(data).metadata
    assert metadata["photoshop:Quality"] == "10"
    assert metadata["photoshop:IPTCDigest"] == "00" * 16
    assert metadata["photoshop:Resources"] == "0406 0425 0424"


def test_xmp_in_a_resource_is_read():
    packet = containers.xmp_packet({"xmp:CreatorTool": "Pinhole"})
    assert read(resource(0x0424, packet)).metadata["xmp:CreatorTool"] == "Pinhole"


def test_a_resource_cut_short_is_noticed():
    assert "cut short" in read(resource(0x0404, bytes(20))[:-4]).warnings[0]
