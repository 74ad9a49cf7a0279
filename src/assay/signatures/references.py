"""What a signature keeps of a picture, so that a near match can be compared with it: small luma pictures, aligned.

A *frame* is the whole picture, at most `FRAME` pixels long: to lay a candidate over it. A *patch* is a changed region
with some of what surrounds it, at most `PATCH` pixels long: the fake's content, and the original's where it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.signatures.alignment import Luma, align, luma_of, resized

FRAME = 256
PATCH = 96
MARGIN = 0.35  # of a region's longer side, at each side: surroundings that both show
UNIT = 1 << 16  # places are whole 65,536ths of the picture's width and height
PATCHES = 16  # a signature has at most
_LEAST = 8  # pixels of a region in its patch

Small = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom in `UNIT`


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """One changed region of a known fake."""

    region: Box  # what was changed
    around: Box  # what the pictures show: the region and its surroundings
    fake: Small  # (h, w) luma
    original: Small | None = None  # the same place before the change


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The stored pictures of a signature; a known original has no patches."""

    frame: Small  # (h, w) luma of the whole picture
    patches: tuple[Patch, ...] = ()


def boxed(left: float, top: float, right: float, bottom: float, *, width: int, height: int) -> Box:
    """Carry a box in pixels of a picture of `width` x `height` into `UNIT`, cut to the picture."""
    sides = left / width, top / height, right / width, bottom / height
    a, b, c, d = (min(UNIT, max(0, round(side * UNIT))) for side in sides)
    return a, b, max(c, a + 1), max(d, b + 1)


def reference_of(
    pixels: NDArray[np.uint8], regions: Sequence[Box] = (), original: NDArray[np.uint8] | None = None
) -> Reference:
    """Keep what a later comparison needs.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        The known picture, upright. Not modified.
    regions : sequence of Box
        What was changed in it; empty for a known original.
    original : ndarray of uint8, shape (h, w, 3), optional
        The picture before the change, of any size; it is laid over the other first.

    Raises
    ------
    ValueError
        If there are more than `PATCHES` regions, or one lies outside of the picture.
    """
    if len(regions) > PATCHES:
        raise ValueError(f"a signature has at most {PATCHES} regions, not {len(regions)}")
    luma = luma_of(pixels)
    before = None if original is None else _laid_over(luma_of(original), luma)
    patches = tuple(_patch(luma, before, region) for region in regions)
    return Reference(_rounded(resized(luma, *reduced(luma.shape[1], luma.shape[0], FRAME))), patches)


def reduced(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size (width, height) of a picture brought to `longest` pixels, if it is longer."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def cut(luma: Luma, box: Box) -> Luma:
    """The part of a picture's luma under a box, without resampling: at least one pixel."""
    height, width = luma.shape
    left, right = box[0] * width // UNIT, -(-box[2] * width // UNIT)
    top, bottom = box[1] * height // UNIT, -(-box[3] * height // UNIT)
    return luma[top : max(bottom, top + 1), left : max(right, left + 1)]


def widened(region: Box, width: int, height: int) -> Box:
    """A region of a picture of `width` x `height` pixels with its surroundings."""
    left, top, right, bottom = region
    longer = max((right - left) * width, (bottom - top) * height) / UNIT
    margin = max(_LEAST, MARGIN * longer)
    across, down = round(margin / width * UNIT), round(margin / height * UNIT)
    return max(0, left - across), max(0, top - down), min(UNIT, right + across), min(UNIT, bottom + down)


def _patch(luma: Luma, before: Luma | None, region: Box) -> Patch:
    left, top, right, bottom = region
    if not (0 <= left < right <= UNIT and 0 <= top < bottom <= UNIT):
        raise ValueError(f"no region of the picture: {region}")
    around = widened(region, luma.shape[1], luma.shape[0])
    part = cut(luma, around)
    size = reduced(part.shape[1], part.shape[0], PATCH)
    kept = None if before is None else _rounded(resized(cut(before, around), *size))
    return Patch(region, around, _rounded(resized(part, *size)), kept)


def _laid_over(original: Luma, fake: Luma) -> Luma:
    """The original in the fake's pixels; where it is cut off, the fake itself, so that nothing seems changed there."""
    laid = align(resized(original, fake.shape[1], fake.shape[0]), fake).warped
    return np.where(np.isnan(laid), fake, laid).astype(np.float32)


def _rounded(luma: Luma) -> Small:
    return np.clip(np.rint(luma), 0, 255).astype(np.uint8)
