"""Animated images and further pages: stills spread over them, each a sample of its own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from assay.errors import Failed
from assay.media.stills import read_stills
from assay.media.unpack.member import Allowance, Member


def still_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """Yield up to fifteen later frames or pages as PNGs; the first one is what the container itself shows.

    Problems at the end say in words what was not read.
    """
    from PIL import Image

    notes: list[str] = []
    for number, still in enumerate(read_stills(file, allowance.limits, notes)):
        if number == 0:
            continue
        out = io.BytesIO()
        Image.fromarray(still.coded).save(out, "PNG", compress_level=1)
        allowance.count()
        where = (
            f"page {number + 1}"
            if still.media_type == "image/tiff"
            else f"still {number} at {still.time_s:.2f} s"
        )
        yield Member(f"{where}.png", allowance.take(out.getvalue()))
    for note in notes:
        yield Member(
            "some frames", problem=Failed(note, code="undecodable", hint="The others were screened.")
        )
