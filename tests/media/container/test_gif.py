"""Blocks of GIF."""

from __future__ import annotations

from assay.testing import containers, images


def test_comments_frames_and_applications_are_found():
    container = containers.describe(containers.gif(), "image/gif")
    assert container.metadata["gif:comment"] == "made by a test"
    assert container.metadata["gif:frames"] == "2"
    assert ("application", "NETSCAPE2.0") in [(p.kind, p.note) for p in container.parts]


def test_what_pillow_writes_is_read_to_its_end():
    frames = [images.noise(20, 10, seed=n) for n in range(3)]
    container = containers.describe(images.animation(frames), "image/gif")
    assert (container.width, container.height, container.metadata["gif:frames"]) == (20, 10, "3")
    assert (container.warnings, container.trailing) == ((), 0)


def test_bare_xmp_is_read_without_its_magic_tail():
    tail = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    block = b"\x21\xff\x0bXMP DataXMP" + containers.xmp_packet({"xmp:CreatorTool": "Pinhole"}) + tail
    data = containers.gif()
    container = containers.describe(data[:19] + block + data[19:], "image/gif")
    assert container.metadata["xmp:CreatorTool"] == "Pinhole"
    assert container.warnings == ()


def test_bytes_behind_the_trailer_are_counted():
    container = containers.describe(containers.gif() + b"<html></html>", "image/gif")
    assert (container.trailing, container.trailing_note) == (13, "html")


def test_a_frame_that_never_ends_is_noticed():
    container = containers.describe(containers.gif()[:-10], "image/gif")
    assert "malformed" in container.warnings[0]
    assert container.metadata["gif:frames"] == "1"
