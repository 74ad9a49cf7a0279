"""What stands behind a container's own structure."""

from __future__ import annotations

import pytest

from assay.media.container.source import Source
from assay.media.container.trailing import kind_of
from assay.testing import containers


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (containers.zipped("a.txt"), "zip"),
        (b"some words before" + bytes(range(200)) + containers.zipped("a.txt"), "zip"),
        (containers.jpeg(), "jpeg"),
        (b"\0\0\0" + containers.jpeg(), "jpeg"),
        (containers.mp4(), "mp4"),
        (containers.png(), "png"),
        (b"Rar!\x1a\x07\x01\0", "rar"),
        (b"%PDF-1.4\n", "pdf"),
        (b"<html><script>", "html"),
        (b"just words\n", "text"),
        (bytes(5000), "zeros"),
        (bytes(range(256)), "unknown"),
        (bytes([1, 2, 3]) * 20 + b"SEFHxxxxSEFT", "samsung"),
        (b"AXS!" + bytes([1, 2, 3]), "afcp"),
        (containers.wav(), "wav"),
    ],
)
def test_the_kind_is_named(data, kind):
    assert kind_of(Source.of(data)) == kind


def test_zeros_followed_by_something_are_not_zeros():
    assert kind_of(Source.of(bytes(20_000) + b"\xfe" * 40 + bytes(5000))) == "unknown"


def test_a_picture_and_an_archive_in_one_are_both_named():
    data = containers.jpeg() + containers.zipped("a.txt")
    container = containers.describe(data, "image/jpeg")
    assert (container.trailing, container.trailing_note) == (len(containers.zipped("a.txt")), "zip")
    assert container.parts[-1].kind == "EOI"
