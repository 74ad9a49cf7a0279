"""Directories, charsets, maker notes and loops of EXIF."""

from __future__ import annotations

import struct

import pytest

from assay.media.container import exif
from assay.media.container.draft import Draft
from assay.media.container.source import Malformed, Source
from assay.testing import containers


def read(block: bytes, **options: bool) -> Draft:
    draft = Draft("image/tiff", len(block), "0")
    exif.read(Source.of(block), draft, **options)
    return draft


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(order):
    block = containers.exif_block(
        {0x010F: "Assay Optical", 0x0112: 6, 0x9003: "2024:05:06 07:08:09"}, order=order
    )
    metadata = read(block).metadata
    assert metadata["exif:Make"] == "Assay Optical"
    assert metadata["exif:Orientation"] == "6"
    assert metadata["exif:DateTimeOriginal"] == "2024:05:06 07:08:09"


def test_a_thumbnail_is_kept_and_its_tags_stand_apart():
    small = containers.jpeg(16, 12)
    draft = read(containers.exif_block({0x010F: "a"}, thumbnail=small), thumbnails=True)
    assert draft.thumbnail == small
    assert draft.metadata["exif.thumbnail:Compression"] == "6"


@pytest.mark.parametrize(
    ("raw", "order", "text"),
    [
        (b"ASCII\0\0\0plain words\0\0", "<", "plain words"),
        (b"UNICODE\0" + "Grüße".encode("utf-16-le"), "<", "Grüße"),
        (b"UNICODE\0" + "words".encode("utf-16-be"), "<", "words"),
        (b"UNICODE\0" + "words".encode("utf-16-le"), ">", "words"),
        (b"UNICODE\0" + "words".encode("utf-16"), ">", "words"),
        (b"UNICODE\0", "<", ""),
        (b"JIS\0\0\0\0\0" + "港".encode("iso2022_jp"), "<", "港"),
        (bytes(8) + "Grüße".encode(), "<", "Grüße"),
        (b"no charset at all", "<", "no charset at all"),
    ],
)
def test_comments_are_decoded_by_the_charset_that_they_name(raw, order, text):
    assert exif.user_comment(raw, order) == text


@pytest.mark.parametrize(
    ("note", "maker"),
    [
        (b"Apple iOS\0\0\1MM", "Apple"),
        (b"Nikon\0\2", "Nikon"),
        (b"SONY DSC \0", "Sony"),
        (b"\x1f\0\1\0", "unnamed"),
    ],
)
def test_maker_notes_are_attributed_by_their_beginning(note, maker):
    metadata = read(containers.exif_block({0x927C: note.ljust(40, b"\0")})).metadata
    assert (metadata["exif:MakerNote"], metadata["exif:MakerNoteLength"]) == (maker, "40")


def test_numbers_keep_their_fractions():
    heap = struct.pack("<II", 1, 125) + struct.pack("<II", 50, 1)
    entries = struct.pack("<HHII", 0x829A, 5, 1, 100) + struct.pack("<HHII", 0x920A, 5, 1, 108)
    inner = struct.pack("<H", 2) + entries + bytes(4)
    outer = struct.pack("<H", 1) + struct.pack("<HHII", 0x8769, 4, 1, 40) + bytes(4)
    block = (b"II*\0\x08\0\0\0" + outer).ljust(40, b"\0") + inner
    metadata = read(block.ljust(100, b"\0") + heap).metadata
    assert (metadata["exif:ExposureTime"], metadata["exif:FocalLength"]) == ("1/125", "50")


def test_places_are_under_their_own_prefix():
    gps = struct.pack("<H", 1) + struct.pack("<HHI4s", 1, 2, 2, b"N\0\0\0") + bytes(4)
    outer = struct.pack("<H", 1) + struct.pack("<HHII", 0x8825, 4, 1, 40) + bytes(4)
    assert read((b"II*\0\x08\0\0\0" + outer).ljust(40, b"\0") + gps).metadata["gps:GPSLatitudeRef"] == "N"


def test_a_loop_of_directories_ends():
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    assert read(b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + struct.pack("<I", 8)).metadata == {}


def test_a_directory_that_announces_too_much_is_noticed():
    (warning,) = read(b"II*\0\x08\0\0\0" + struct.pack("<H", 900) + bytes(24)).warnings
    assert "announces 900 entries" in warning


def test_a_value_outside_of_the_block_is_noticed():
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 0x010F, 2, 500, 4000) + bytes(4)
    assert "0x010F" in read(block).warnings[0]


def test_bytes_that_are_no_exif_are_malformed():
    with pytest.raises(Malformed, match="byte order"):
        read(b"XX*\0\x08\0\0\0")
