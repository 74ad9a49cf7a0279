"""Mild re-encodings of a decoded picture, made in memory: what a message or a site does to it on the way.

At most a megapixel is encoded, whatever the picture's size, so that a copy costs about what a small picture does: cut
out around what was found, or the whole picture shrunk where no place was named.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image as Pillow

from assay.media.coefficients import read_jpeg
from assay.media.views import Image

PIXELS = 1_000_000
Box = tuple[int, int, int, int]  # x, y, width, height in the coded picture


@dataclass(frozen=True, slots=True)
class Rendition:
    """One way of saving a picture again."""

    name: str
    quality: int  # of the JPEG, 4:2:0
    scale: float = 1.0


MILD = (
    Rendition("saved again at 92", 92),
    Rendition("saved again at 85", 85),
    Rendition("shrunk to 9/10 and saved at 90", 90, 0.9),
)
BY_NAME = {r.name: r for r in MILD}


def prepare() -> None:
    """Import Pillow's plug-ins, in the zygote: inside of an examiner nothing can be looked up any more."""
    Pillow.preinit()


def window(size: tuple[int, int], box: Box | None) -> Box | None:
    """The part of a coded picture of `size` (width, height) to re-encode, on the 8 x 8 grid; None: all of it.

    Parameters
    ----------
    box
        What was found, in coded pixels; None where no place was named.
    """
    width, height = size
    if box is None or width * height <= PIXELS:
        return None
    side = math.isqrt(PIXELS)
    w, h = (min(width, max(side, PIXELS // height)), min(height, max(side, PIXELS // width)))
    x = round(box[0] + box[2] / 2 - w / 2)
    y = round(box[1] + box[3] / 2 - h / 2)
    return (min(max(x, 0), width - w) // 8 * 8, min(max(y, 0), height - h) // 8 * 8, w, h)


def size_of(size: tuple[int, int], rendition: Rendition, cut: Box | None) -> tuple[int, int]:
    """Width and height of the copy, as coded."""
    width, height = (cut[2], cut[3]) if cut else size
    scale = min(1.0, math.sqrt(PIXELS / (width * height))) * rendition.scale
    return max(1, round(width * scale)), max(1, round(height * scale))


def rendered(view: Image, rendition: Rendition, cut: Box | None) -> Image:
    """Save a picture again.

    Returns
    -------
    copy : Image
        A JPEG with its own coefficients, in the orientation of `view`; without alpha.
    """
    height, width = view.coded.shape[:2]
    pixels = view.coded
    if cut is not None:
        x, y, w, h = cut
        pixels = pixels[y : y + h, x : x + w]
    picture = Pillow.fromarray(np.ascontiguousarray(pixels))
    size = size_of((width, height), rendition, cut)
    if size != picture.size:
        picture = picture.resize(size, Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=rendition.quality, subsampling=2)
    data = buffer.getvalue()
    with Pillow.open(io.BytesIO(data)) as again:
        coded = np.asarray(again.convert("RGB"))
    planes = read_jpeg(data, pixels=2 * PIXELS).planes
    return replace(view, coded=coded, planes=planes, alpha=None, media_type="image/jpeg", bit_depth=8)
