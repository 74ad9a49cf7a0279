"""Does the EXIF thumbnail show the picture? Many editors change the one and leave the other."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, ImageFilter

from assay.media.container.picture import affordable, opened
from assay.media.container.source import Malformed
from assay.media.views import upright

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from assay.media.container.draft import Draft
    from assay.media.container.source import Source

SIDE = 48  # pixels of the longer side at which both are compared
BLUR = 1.5  # radius in such pixels: hides sharpening and JPEG noise, keeps objects
SCANS = 64  # each one of a progressive picture costs a pass over all of it
LARGEST = 2048  # pixels a side; a larger "thumbnail" is not one
_BAR = 24  # luma under which a letterbox bar is black enough


def compare(source: Source, draft: Draft) -> None:
    """Decode the thumbnail and an eighth of the picture, and record how far apart they are.

    Sets ``thumbnail_size`` and ``thumbnail_distance``: the mean absolute difference of blurred luma (0 to 255), the
    smallest over the ways in which software fits a thumbnail: stretched, with bars, cut, and left behind when the
    picture was turned upright.
    """
    if not draft.thumbnail:
        return
    try:
        small = _decode(BytesIO(draft.thumbnail), LARGEST, {"pixels": LARGEST**2})
        draft.thumbnail_size = (small.width, small.height)
        if sum(part.kind == "scan" for part in draft.parts) > SCANS or min(small.size) < 8:
            return
        large = _decode(source.file(), 2 * SIDE, draft.limits)
    except Malformed as e:
        draft.warn(f"thumbnail: {e.message}")
        return
    turns = (1, 3, 6, 8) if (large.width > large.height) != (small.width > small.height) else (1, 3)
    pixels = np.asarray(large)
    turned = [Image.fromarray(np.ascontiguousarray(upright(pixels, turn))) for turn in turns]
    draft.thumbnail_distance = round(min(distance(small, picture) for picture in turned), 3)


def _decode(file: BinaryIO, side: int, limits: Mapping[str, float]) -> Image.Image:
    """Decode as grey at the smallest scale whose sides are at least `side`, if the header's size is affordable."""
    with opened(file, "JPEG") as image:
        if not affordable(image.width, image.height, limits):
            raise Malformed("too large to compare")
        image.draft("L", (side, side))
        return image.convert("L")


def distance(small: Image.Image, large: Image.Image) -> float:
    """Mean absolute difference of blurred luma, 0 to 255, in the best of the usual ways to fit `large` into `small`."""
    fits = [(small, large)]
    wanted, had = large.width / large.height, small.width / small.height
    if abs(wanted / had - 1) > 0.01:
        bars = _inner(small.size, wanted)
        fits += [(small.crop(bars), large), (small, large.crop(_inner(large.size, had)))]
    dark = _without_bars(small)
    if dark is not None:
        fits.append((small.crop(dark), large))
    return min(_difference(_reduced(a, b.size), _reduced(b, b.size)) for a, b in fits)


def _inner(size: tuple[int, int], aspect: float) -> tuple[int, int, int, int]:
    """The largest centred box of that width over height."""
    width = min(size[0], max(round(size[1] * aspect), 1))
    height = min(size[1], max(round(size[0] / aspect), 1))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


def _without_bars(small: Image.Image) -> tuple[int, int, int, int] | None:
    """The box inside of black bars, where there are some and something is left."""
    bright = np.asarray(small) > _BAR
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    if rows.size < 8 or columns.size < 8 or (rows.size, columns.size) == bright.shape:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _reduced(image: Image.Image, like: tuple[int, int]) -> NDArray[np.float32]:
    """Bring to SIDE pixels in the aspect of `like`, blurred."""
    scale = SIDE / max(like)
    size = (max(round(like[0] * scale), 1), max(round(like[1] * scale), 1))
    small = image.resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(BLUR))
    return np.asarray(small, dtype=np.float32)


def _difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.mean(np.abs(a - b)))
