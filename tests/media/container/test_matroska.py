"""Elements of Matroska and WebM."""

from __future__ import annotations

from assay.testing import containers


def test_a_webm_says_who_muxed_wrote_and_encoded_it():
    container = containers.describe(containers.matroska(), "video/webm")
    assert container.metadata["format:encoder"] == "Lavf60.16.100"
    assert container.metadata["format:muxing_app"] == "Lavf60.16.100"
    assert container.metadata["matroska:ENCODER"] == "Lavc60 libvpx-vp9"
    assert container.metadata["stream.0:codec"] == "V_VP9"
    assert (container.width, container.height, container.duration_s) == (640, 360, 2.5)


def test_elements_have_their_paths():
    kinds = [p.kind for p in containers.describe(containers.matroska(), "video/webm").parts]
    assert kinds[:3] == ["EBML", "Segment", "Segment/Info"]
    assert kinds[-1] == "Segment/Cluster"


def test_a_cluster_of_unknown_length_ends_the_reading_with_a_word():
    head = containers.matroska()
    at = head.index(b"\x1f\x43\xb6\x75")
    live = head[: at + 4] + b"\x01" + b"\xff" * 7 + head[at + 12 :]
    assert "unknown length" in containers.describe(live, "video/webm").warnings[0]


def test_bytes_behind_the_segment_are_counted():
    container = containers.describe(containers.matroska() + b"PK\5\6" + bytes(18), "video/webm")
    assert container.trailing_note == "zip"


def test_elements_nested_without_end_are_left_alone():
    nested = b""
    for _ in range(300):
        nested = containers.element(0x67C8, nested)
    data = containers.matroska() + containers.element(0x18538067, containers.element(0x1254C367, nested))
    assert containers.describe(data, "video/webm").parts
