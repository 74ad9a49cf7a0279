"""Boxes of MP4 and MOV."""

from __future__ import annotations

import struct

import pytest

from assay.testing import containers

MP4 = "video/mp4"


def test_an_mp4_says_who_encoded_it():
    container = containers.describe(containers.mp4(), MP4)
    assert container.metadata["format:encoder"] == "Lavf60.16.100"
    assert container.metadata["stream.0:encoder"] == "Lavc libx264"
    assert container.metadata["stream.0:handler_name"] == "VideoHandler"
    assert container.metadata["stream.0:codec"] == "avc1"
    assert container.metadata["format:major_brand"] == "isom"
    assert container.metadata["format:creation_time"].startswith("2024-")
    assert (container.width, container.height, container.duration_s) == (640, 360, 2.5)


def test_boxes_are_in_order_with_their_paths():
    kinds = [p.kind for p in containers.describe(containers.mp4(), MP4).parts]
    assert [k for k in kinds if "/" not in k] == ["ftyp", "moov", "mdat"]
    assert "moov/trak/mdia/minf/stbl/stsd" in kinds


def test_credentials_and_xmp_in_boxes_are_found():
    c2pa = containers.box(b"uuid", bytes.fromhex("d8fec3d61b0e483c92975828877ec481"), bytes(20))
    packet = containers.xmp_packet({"xmp:CreatorTool": "Pinhole"})
    said = containers.box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), packet)
    container = containers.describe(containers.mp4(extra=c2pa + said), MP4)
    assert [p.note for p in container.parts if p.kind == "uuid"] == ["C2PA", "XMP"]
    assert container.metadata["xmp:CreatorTool"] == "Pinhole"


def test_quicktime_keys_are_named():
    keys = containers.box(
        b"keys", struct.pack(">II", 0, 1), containers.box(b"mdta", b"com.apple.quicktime.software")
    )
    value = containers.box(b"\0\0\0\1", containers.box(b"data", struct.pack(">II", 1, 0), b"17.1"))
    meta = containers.box(b"meta", containers.box(b"hdlr", bytes(24)), keys, containers.box(b"ilst", value))
    container = containers.describe(
        containers.mp4(brand=b"qt  ") + containers.box(b"moov", meta), "video/quicktime"
    )
    assert container.metadata["format:com.apple.quicktime.software"] == "17.1"


def test_free_form_tags_are_named():
    form = containers.box(
        b"----",
        containers.box(b"mean", bytes(4), b"com.apple.iTunes"),
        containers.box(b"name", bytes(4), b"Encoding Tool"),
        containers.box(b"data", struct.pack(">II", 1, 0), b"Pinhole"),
    )
    meta = containers.box(
        b"meta", bytes(4), containers.box(b"hdlr", bytes(24)), containers.box(b"ilst", form)
    )
    data = containers.mp4() + containers.box(b"moov", containers.box(b"udta", meta))
    assert containers.describe(data, MP4).metadata["format:Encoding Tool"] == "Pinhole"


def test_old_quicktime_texts_are_in_mac_roman():
    text = "Grüße".encode("mac_roman")
    box = containers.box(b"\xa9cmt", struct.pack(">HH", len(text), 0), text)
    data = containers.mp4() + containers.box(b"moov", containers.box(b"udta", box))
    assert containers.describe(data, MP4).metadata["format:comment"] == "Grüße"


@pytest.mark.parametrize(("tail", "note"), [(b"\0" * 12, "zeros"), (b"\0\0\0\3abcdxyz", "unknown")])
def test_bytes_that_no_box_covers_are_trailing(tail, note):
    container = containers.describe(containers.mp4() + tail, MP4)
    assert (container.trailing, container.trailing_note) == (len(tail), note)


def test_boxes_nested_without_end_are_left_alone():
    nested = b""
    for _ in range(3000):
        nested = containers.box(b"moov", nested)
    depth = max(p.kind.count("/") for p in containers.describe(nested, MP4).parts)
    assert depth <= 8


def test_a_box_that_reaches_beyond_the_sample_is_noticed():
    container = containers.describe(containers.mp4()[:-30], MP4)
    assert "box mdat announces" in container.warnings[0]
