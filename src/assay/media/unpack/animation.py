"""Animated images and further pages: stills spread over them, each a sample of its own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from assay.errors import Refused
from assay.media.stills import read_stills
from assay.media.unpack.member import Allowance, Member


def still_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """Yield up to fifteen later frames as PNGs; the first one is what the container itself shows."""
    from PIL import Image

    notes: list[str] = []
    for number, still in enumerate(read_stills(file, allowance.limits, notes)):
        if number == 0:
            continue
        out = io.BytesIO()
        Image.fromarray(still.coded).save(out, "PNG", compress_level=1)
        allowance.count()
        yield Member(f"still {number} at {still.time_s:.2f} s.png", allowance.take(out.getvalue()))
    for note in notes:
        yield Member(
            "other stills", problem=Refused(note, code="over_frames", hint="The others were screened.")
        )
