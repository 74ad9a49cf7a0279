"""FLAC, Ogg and MP3."""

from __future__ import annotations

import pytest

from assay.testing import containers


def test_a_flac_says_its_encoder_and_length():
    container = containers.describe(containers.flac(), "audio/flac")
    assert container.metadata["format:encoder"] == "reference libFLAC 1.4.3 20230623"
    assert container.metadata["vorbis:title"] == "a test"
    assert container.metadata["stream.0:codec"] == "flac, 1 channels, 8000 Hz, 16 bit"
    assert container.duration_s == 2.0
    assert [p.kind for p in container.parts] == ["STREAMINFO", "VORBIS_COMMENT", "frames"]


@pytest.mark.parametrize(
    ("kind", "vendor"), [("opus", "libopus 1.4"), ("vorbis", "Xiph.Org libVorbis I 20200704")]
)
def test_an_ogg_says_its_encoder_and_length(kind, vendor):
    container = containers.describe(containers.ogg(kind), "audio/ogg")
    assert container.metadata["format:encoder"] == vendor
    assert container.metadata["stream.0:codec"].startswith(kind)
    assert container.duration_s == 2.0


def test_an_mp3_says_its_encoder_and_tags():
    container = containers.describe(containers.mp3(), "audio/mpeg")
    assert container.metadata["mp3:lame"] == "LAME3.100"
    assert container.metadata["id3:TSSE"] == "Lavf60.16.100"
    assert container.metadata["id3v1:title"] == "a test"
    assert container.metadata["stream.0:codec"] == "mp3, 1 channels, 44100 Hz"
    assert container.duration_s == pytest.approx(100 * 1152 / 44100)
    assert [p.kind for p in container.parts] == ["ID3", "ID3v1", "frames"]


def test_a_comment_block_that_announces_too_much_is_noticed():
    data = containers.flac().replace(b"\x20\0\0\0reference", b"\xff\xff\xff\x7freference")
    assert containers.describe(data, "audio/flac").warnings


def test_bytes_without_a_frame_are_no_mp3():
    assert "no MPEG audio frame" in containers.describe(b"ID3\x03" + bytes(300), "audio/mpeg").warnings[0]
