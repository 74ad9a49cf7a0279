"""Animated images: stills spread over the animation, each a sample of its own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from assay.errors import Failed
from assay.media.unpack.member import Allowance, Member

STILLS = 16  # at most, the first frame (which the container itself shows) included


def still_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """Yield up to 15 later frames as PNGs, evenly spread over the animation."""
    from PIL import Image

    try:
        with Image.open(file) as animation:
            frames = int(getattr(animation, "n_frames", 1))
            count = min(frames, STILLS)
            for k in range(1, count):
                index = k * (frames - 1) // (count - 1)
                animation.seek(index)
                out = io.BytesIO()
                animation.convert("RGB").save(out, "PNG", compress_level=1)
                allowance.count()
                yield Member(f"frame {index}.png", allowance.take(out.getvalue()))
    except (OSError, EOFError, ValueError, SyntaxError) as e:
        raise Failed(
            f"the animation is damaged: {str(e)[:120]}",
            code="undecodable",
            hint="Its first frame was screened.",
        ) from e
