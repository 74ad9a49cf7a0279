"""TIFF and BMP."""

from __future__ import annotations

from assay.testing import containers, images


def test_a_tiff_says_size_maker_and_software():
    container = containers.describe(containers.tiff(), "image/tiff")
    assert (container.width, container.height) == (24, 16)
    assert container.metadata["exif:Software"] == "Pinhole Studio"
    assert container.metadata["tiff:Pages"] == "1"


def test_what_pillow_writes_is_read():
    container = containers.describe(images.encoded(images.gradient(30, 20), "TIFF"), "image/tiff")
    assert (container.width, container.height, container.warnings) == (30, 20, ())


def test_a_tiff_of_large_offsets_is_named_as_unread():
    assert "BigTIFF" in containers.describe(b"II+\0\x08\0\0\0" + bytes(40), "image/tiff").warnings[0]


def test_a_bitmap_says_its_size_and_what_follows_it():
    container = containers.describe(containers.bmp(), "image/bmp")
    assert (container.width, container.height, container.trailing) == (8, 6, 0)
    assert containers.describe(containers.bmp() + b"\0" * 9, "image/bmp").trailing_note == "zeros"


def test_a_bitmap_cut_short_is_noticed():
    assert "announces" in containers.describe(containers.bmp()[:-10], "image/bmp").warnings[0]
