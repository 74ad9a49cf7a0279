"""Chunks of WebP, WAV and AVI."""

from __future__ import annotations

import struct

from assay.testing import containers, images


def test_a_webp_says_size_codec_and_metadata():
    container = containers.describe(containers.webp(), "image/webp")
    assert (container.width, container.height) == (24, 16)
    assert container.metadata["webp:codec"] == "lossy"
    assert container.metadata["exif:Software"] == "Pinhole Studio"
    assert container.metadata["xmp:CreatorTool"] == "Pinhole Studio"
    assert [p.kind for p in container.parts] == ["RIFF", "VP8X", "VP8", "EXIF", "XMP"]


def test_a_plain_lossless_webp_says_its_size():
    container = containers.describe(images.webp(images.gradient(24, 16), lossless=True), "image/webp")
    assert (container.width, container.height, container.metadata["webp:codec"]) == (24, 16, "lossless")


def test_a_wave_says_who_wrote_it():
    container = containers.describe(containers.wav(), "audio/wav")
    assert container.metadata["riff:ISFT"] == "Lavf60.16.100"
    assert container.metadata["bext:Originator"] == "Assay"
    assert container.duration_s == 0.1


def test_an_avi_says_size_length_and_codec():
    container = containers.describe(containers.avi(), "video/x-msvideo")
    assert (container.width, container.height, container.duration_s) == (320, 240, 2.0)
    assert container.metadata["stream.0:codec"] == "vids MJPG"
    assert container.metadata["riff:ISFT"] == "Lavf60"


def test_a_credential_chunk_is_noted():
    data = containers.riff(b"WEBP", (b"VP8 ", bytes(10)), (b"C2PA", b"jumb"))
    assert [p.note for p in containers.describe(data, "image/webp").parts if p.kind == "C2PA"] == ["C2PA"]


def test_bytes_behind_the_form_are_counted():
    container = containers.describe(containers.wav() + containers.zipped("a.txt"), "audio/wav")
    assert container.trailing_note == "zip"


def test_a_form_longer_than_the_sample_is_noticed():
    data = bytearray(containers.wav())
    data[4:8] = struct.pack("<I", 1 << 20)
    assert "announces" in containers.describe(bytes(data), "audio/wav").warnings[0]


def test_lists_within_lists_end():
    nested = b""
    for _ in range(400):
        nested = b"LIST" + struct.pack("<I", 4 + len(nested)) + b"deep" + nested
    kinds = [
        p.kind
        for p in containers.describe(containers.riff(b"WAVE", (b"LIST", b"deep" + nested)), "audio/wav").parts
    ]
    assert max(kind.count("/") for kind in kinds) <= 4
