"""Items of HEIF pictures."""

from __future__ import annotations

import struct

from assay.testing import containers


def test_the_exif_item_is_read_where_its_location_says():
    container = containers.describe(containers.heic(), "image/heic")
    assert container.metadata["exif:Make"] == "Assay Optical"
    assert (container.width, container.height) == (32, 24)
    (item,) = [p for p in container.parts if p.kind == "item/Exif"]
    assert item.offset + item.length == len(containers.heic())


def test_an_item_outside_of_the_sample_is_noticed():
    data = containers.heic()
    at = data.index(b"iloc") + 4 + 4 + 2 + 2 + 6 + 2
    moved = data[:at] + struct.pack(">I", 1 << 30) + data[at + 4 :]
    assert any("item Exif" in w for w in containers.describe(moved, "image/heic").warnings)


def test_locations_of_an_unknown_width_are_malformed():
    data = containers.heic()
    at = data.index(b"iloc") + 8
    broken = data[:at] + b"\x55" + data[at + 1 :]
    assert any("unknown width" in w for w in containers.describe(broken, "image/heic").warnings)
