"""Chunks and texts of PNG."""

from __future__ import annotations

import struct
import zlib

import pytest

from assay.testing import containers, images

NAMED = {"parameters": containers.A1111, **containers.COMFYUI}


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt"])
def test_texts_are_found_by_their_keyword(kind):
    metadata = containers.describe(containers.png_with_text(NAMED, kind=kind), "image/png").metadata
    assert {key: metadata[f"png:{key}"] for key in NAMED} == NAMED


def test_texts_behind_the_pixels_are_found_too():
    data = containers.png()
    late = data[:-12] + containers.text_chunk("parameters", "late") + data[-12:]
    assert containers.describe(late, "image/png").metadata["png:parameters"] == "late"


def test_a_second_text_of_one_keyword_does_not_hide_the_first():
    chunks = (containers.text_chunk("parameters", "one"), containers.text_chunk("parameters", "two"))
    metadata = containers.describe(containers.png(chunks=chunks), "image/png").metadata
    assert (metadata["png:parameters"], metadata["png:parameters#2"]) == ("one", "two")


def test_international_text_is_utf8():
    data = containers.png(chunks=(containers.chunk(b"iTXt", "Title\0\0\0\0\0Grüße 港".encode()),))
    assert containers.describe(data, "image/png").metadata["png:Title"] == "Grüße 港"


def test_a_text_that_unpacks_into_a_flood_is_cut():
    bomb = containers.chunk(b"zTXt", b"flood\0\0" + zlib.compress(bytes(16 << 20), 1))
    container = containers.describe(
        containers.png(chunks=(bomb, containers.text_chunk("Software", "a"))), "image/png"
    )
    assert container.truncated
    assert container.metadata["png:Software"] == "a"


def test_many_floods_share_one_allowance():
    bomb = containers.chunk(b"zTXt", b"flood\0\0" + zlib.compress(b"y" * (5 << 20), 1))
    container = containers.describe(containers.png(chunks=(bomb,) * 50), "image/png")
    assert container.truncated
    assert any("more metadata" in w for w in container.warnings)


def test_xmp_exif_profile_and_credentials_chunks_are_read():
    chunks = (
        containers.text_chunk(
            "XML:com.adobe.xmp", containers.xmp_packet(containers.synthetic_source()).decode(), kind="iTXt"
        ),
        containers.chunk(b"eXIf", containers.exif_block({0x0131: "Pinhole Studio"})),
        containers.chunk(b"caBX", b"jumb"),
        containers.chunk(b"acTL", struct.pack(">II", 7, 0)),
        containers.chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
        containers.chunk(b"tIME", struct.pack(">HBBBBB", 2024, 5, 6, 7, 8, 9)),
    )
    container = containers.describe(containers.png(chunks=chunks), "image/png")
    assert container.metadata["xmp:DigitalSourceType"].endswith("trainedAlgorithmicMedia")
    assert container.metadata["exif:Software"] == "Pinhole Studio"
    assert container.metadata["png:animation"] == "7 frames"
    assert container.metadata["png:density"] == "2835x2835 per metre"
    assert container.metadata["png:time"] == "2024-05-06 07:08:09"
    assert [p.note for p in container.parts if p.note] == ["Exif", "C2PA"]


def test_the_profile_names_its_maker():
    data = images.encoded(images.gradient(8, 8), "PNG", icc_profile=_profile())
    metadata = containers.describe(data, "image/png").metadata
    assert metadata["icc:description"] == "sRGB built-in"
    assert metadata["icc:space"] == "RGB"


def _profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_raw_profiles_in_hexadecimal_are_read():
    block = containers.exif_block({0x0131: "Pinhole Studio"})
    text = f"\nexif\n{len(block) + 6}\n{(b'Exif' + bytes(2) + block).hex()}\n"
    data = containers.png(chunks=(containers.text_chunk("Raw profile type exif", text),))
    assert containers.describe(data, "image/png").metadata["exif:Software"] == "Pinhole Studio"


def test_a_wrong_checksum_is_noticed():
    data = bytearray(containers.png())
    data[20] ^= 1  # the width
    container = containers.describe(bytes(data), "image/png")
    assert container.metadata["png:checksum"] == "wrong in IHDR"
    assert "checksum" in container.warnings[0]


def test_bytes_behind_the_end_are_counted():
    container = containers.describe(containers.png() + containers.zipped("a.txt"), "image/png")
    assert (container.trailing, container.trailing_note) == (len(containers.zipped("a.txt")), "zip")


def test_pixel_chunks_in_a_row_are_one_part():
    data = containers.png()
    at = data.index(b"IDAT") - 4
    length = int.from_bytes(data[at : at + 4], "big")
    body = data[at + 8 : at + 8 + length]
    split = containers.chunk(b"IDAT", body[:9]) + containers.chunk(b"IDAT", body[9:])
    container = containers.describe(data[:at] + split + data[at + 12 + length :], "image/png")
    assert [p.kind for p in container.parts] == ["IHDR", "IDAT", "IEND"]
    assert container.warnings == ()
