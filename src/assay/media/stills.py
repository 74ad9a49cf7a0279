"""Animated pictures and pages of a TIFF: up to sixteen, spread evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import PIL.Image

from assay.errors import Failed
from assay.media import pixels
from assay.media.animation import count_frames
from assay.media.image import FORMATS, RESEND, opened, watched
from assay.media.pixels import BROKEN
from assay.media.views import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STILLS = 16
WALKED_PIXELS = 2_000_000_000  # frames of a GIF or PNG are drawn one over the other: so much is drawn at most


def read_stills(file: BinaryIO, limits: Mapping[str, float], notes: list[str]) -> Iterator[Image]:
    """Yield up to sixteen frames of an animated picture.

    Parameters
    ----------
    file : BinaryIO
        The sample, seekable.
    limits : mapping
        ``pixels`` of one frame, and ``frames``.
    notes : list of str
        Gets a sentence for whatever was not read.
    """
    picture = opened(file, limits, notes)
    total = count_frames(picture, file, limits)
    if picture.format in ("GIF", "PNG"):
        reach = max(1, WALKED_PIXELS // max(1, picture.width * picture.height))
        if reach < total:
            notes.append(f"only the first {reach} of {total} frames of the animation were examined")
            total = reach
    count = min(total, STILLS)
    wanted = {k * (total - 1) // max(1, count - 1) for k in range(count)}
    elapsed_ms = 0.0
    found = 0
    for n in range(total):
        still = None
        try:
            with watched(notes, limits):
                picture.seek(n)
                if n in wanted:
                    picture.load()
                    still = _still(picture, elapsed_ms, notes)
        except BROKEN as e:
            notes.append(f"the animation is damaged at frame {n} ({str(e)[:120]})")
            break
        elapsed_ms += float(picture.info.get("duration") or 0)  # WebP and AVIF say it of loaded frames alone
        if still is not None:
            found += 1
            yield still
    if not found:
        raise Failed("no frame of the animation can be decoded", code="undecodable", hint=RESEND)


def _still(picture: PIL.Image.Image, elapsed_ms: float, notes: list[str]) -> Image:
    coded, alpha = pixels.as_rgb(picture, notes)
    kind = FORMATS[str(picture.format)]
    time_ms = float(picture.info.get("timestamp", elapsed_ms))
    return Image(
        coded=coded.copy(), alpha=alpha, media_type=kind, origin="still", time_s=max(0.0, time_ms / 1000)
    )
