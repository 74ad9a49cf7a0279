"""Segments, tables and metadata of JPEG."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest

from assay.media.container.jpeg import ZIGZAG
from assay.testing import containers, images


def test_segments_are_named_in_order():
    kinds = [p.kind for p in containers.describe(containers.jpeg(), "image/jpeg").parts]
    assert kinds[:3] == ["SOI", "APP0", "DQT"]
    assert kinds[-3:] == ["SOS", "scan", "EOI"]


def test_application_segments_carry_their_identifier():
    data = containers.with_segments(
        containers.jpeg(),
        containers.exif_segment({0x010F: "Assay Optical"}),
        containers.xmp_segment({"xmp:CreatorTool": "Pinhole Studio"}),
        containers.iptc_segment({80: "Ada"}),
        containers.segment(0xEB, b"JP\0\1\0\0\0\1" + bytes(8) + b"jumb"),
        containers.segment(0xEC, b"Ducky\0\1\0\4"),
        containers.segment(0xE5, b"Pinhole\0 data"),
        containers.segment(0xE6, b"\1\2\3"),
    )
    notes = [p.note for p in containers.describe(data, "image/jpeg").parts if p.note]
    assert notes[:8] == ["Exif", "XMP", "Photoshop", "C2PA", "Ducky", "Pinhole", "unknown", "JFIF"]


def test_quantisation_tables_are_in_natural_order():
    pillow = images.Image.open(images.io.BytesIO(containers.jpeg(quality=60)))
    container = containers.describe(containers.jpeg(quality=60), "image/jpeg")
    assert [list(t) for t in container.quantisation] == list(pillow.quantization.values())


def test_the_zigzag_visits_every_coefficient_once():
    assert sorted(ZIGZAG) == list(range(64))
    assert ZIGZAG[:6] == (0, 1, 8, 16, 9, 2)


def test_standard_and_optimised_huffman_tables_are_told_apart():
    scene = images.scene(64, 64)
    plain = containers.describe(images.jpeg(scene), "image/jpeg").huffman
    assert plain == ("standard:dc0", "standard:ac0", "standard:dc1", "standard:ac1")
    own = containers.describe(images.jpeg(scene, optimize=True), "image/jpeg").huffman
    assert len(own) == 4
    assert all(name.startswith("custom:") and len(name) == 19 for name in own)


@pytest.mark.parametrize(
    ("subsampling", "factors"), [("4:2:0", "2x2,1x1,1x1"), ("4:2:2", "2x1,1x1,1x1"), ("4:4:4", "1x1,1x1,1x1")]
)
def test_the_frame_says_size_and_sampling(subsampling, factors):
    container = containers.describe(images.jpeg(images.scene(70, 50), subsampling=subsampling), "image/jpeg")
    assert (container.width, container.height, container.sampling) == (70, 50, factors)
    assert not container.progressive


def test_a_progressive_picture_says_so():
    container = containers.describe(images.jpeg(images.scene(64, 64), progressive=True), "image/jpeg")
    assert container.progressive
    assert sum(p.kind == "scan" for p in container.parts) > 1
    assert container.parts[-1].kind == "EOI"


def test_restart_markers_are_part_of_the_scan():
    container = containers.describe(images.jpeg(images.noise(128, 128), restart_blocks=2), "image/jpeg")
    assert [p.kind for p in container.parts[-2:]] == ["scan", "EOI"]


def test_exif_xmp_iptc_and_comments_become_metadata():
    comment = "a harbour at dawn"
    data = containers.with_segments(
        containers.jpeg(),
        containers.exif_segment({0x010F: "Assay Optical", 0x9286: containers.user_comment(comment)}),
        containers.xmp_segment(containers.synthetic_source()),
        containers.iptc_segment({80: "Ada", 105: "Grüße"}),
        containers.segment(0xFE, b"CREATOR: a test"),
    )
    metadata = containers.describe(data, "image/jpeg").metadata
    assert metadata["exif:Make"] == "Assay Optical"
    assert metadata["exif:UserComment"] == comment
    assert metadata["xmp:DigitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert metadata["xmp"].startswith("<?xpacket")
    assert metadata["iptc:By-line"] == "Ada"
    assert metadata["iptc:Headline"] == "Grüße"
    assert metadata["jpeg:comment"] == "CREATOR: a test"


def test_extended_xmp_is_joined():
    long = containers.xmp_packet({"dc:description": "x" * 3000})
    pieces = containers.extended_xmp_segments(long)
    first = containers.xmp_segment({"xmpNote:HasExtendedXMP": "0" * 32})
    joined = containers.describe(containers.with_segments(containers.jpeg(), first, *pieces), "image/jpeg")
    assert joined.metadata["xmp:description"] == "x" * 3000
    broken = containers.describe(
        containers.with_segments(containers.jpeg(), first, *pieces[1:]), "image/jpeg"
    )
    assert "xmp:description" not in broken.metadata
    assert broken.warnings == ("extended XMP is incomplete",)


def test_fill_bytes_between_segments_are_silent_and_stray_bytes_are_not():
    data = containers.jpeg()
    assert containers.describe(data[:2] + b"\xff\xff" + data[2:], "image/jpeg").warnings == ()
    (warning,) = containers.describe(data[:2] + b"abc" + data[2:], "image/jpeg").warnings
    assert "stray bytes" in warning


def test_a_picture_without_an_end_is_noticed():
    container = containers.describe(containers.jpeg()[:-2], "image/jpeg")
    assert container.warnings == ("the picture has no end marker",)
    assert container.parts[-1].kind == "scan"


def test_pictures_that_the_index_names_are_not_foreign():
    second = containers.jpeg(32, 24)
    entries = struct.pack("<III4x", 0x030000, 5000, 0) + struct.pack("<III4x", 0, len(second), 5000)
    index = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0xB002, 7, 32, 26, 0) + entries
    data = containers.with_segments(containers.jpeg(), containers.segment(0xE2, b"MPF\0" + index)) + second
    container = containers.describe(data, "image/jpeg")
    assert (container.trailing, container.trailing_note) == (len(second), "mpf")
    assert container.metadata["mpf:NumberOfImages"] == "2"


def test_ten_thousand_small_segments_take_no_time():
    many = containers.with_segments(containers.jpeg(), *[b"x" + containers.segment(0xDD, b"\0\0")] * 12_000)
    started = time.process_time()
    container = containers.describe(many + bytes(4 << 20), "image/jpeg")
    assert time.process_time() - started < 3
    assert container.truncated


def test_metadata_that_overlap_are_read_once_and_then_no_more():
    """A hundred directories whose thousand texts all point at the same megabyte would be a hundred gigabytes."""
    entries = b"".join(struct.pack("<HHII", 0x010E, 2, 60_000, 100) for _ in range(1024))
    block = b"II*\0" + struct.pack("<IH", 8, 1024) + entries + struct.pack("<I", 0)
    segment = containers.segment(0xE1, b"Exif\0\0" + block.ljust(60_000, b"y"))
    started = time.process_time()
    container = containers.describe(
        containers.with_segments(containers.jpeg(), *[segment] * 40), "image/jpeg"
    )
    assert time.process_time() - started < 3
    assert container.truncated


def test_a_grey_picture_has_one_component():
    grey = images.jpeg(np.full((16, 16), 90, np.uint8))
    assert containers.describe(grey, "image/jpeg").sampling == "1x1"
