"""What stands within plain borders: the picture in a screenshot, on a page, between the bars of a letterbox."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SEEN = 512  # pixels: larger pictures are looked at through every k-th pixel
COMMON = 0.05  # share of the pixels that the borders' tone has at the least
# Grey levels of any channel: as far from that tone a border may be; the wider after lossy saves.
NEAR = (3, 10)
FILLED = 0.75  # share of a rectangle, and of each of its sides, that is no border
SIDE = 4  # pixels, of those looked at: within them a side becomes straight
SMALLEST, LARGEST = 0.02, 0.95  # of the whole: what is smaller is no picture, what is larger has no borders
PLAIN = 0.5  # share of what lies outside of it that has the borders' tone; bars and words make up the rest
LONGEST = 4.0  # long side over short side: what is longer is a bar
Box = tuple[int, int, int, int]  # x, y, width, height in pixels


def within_borders(pixels: NDArray[np.uint8]) -> Box | None:
    """Find the one rectangle that stands out from a plain background.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        Not modified.

    Returns
    -------
    box : tuple of int or None
        Slightly inside of the edges of the largest connected part that differs from the commonest tone and is a filled rectangle with
        straight sides, no bar, and neither nearly all nor nearly nothing of the picture. None where no part is: most pictures have no borders.
    """
    step = -(-max(pixels.shape[:2]) // SEEN)
    small = pixels[::step, ::step]
    tone = _commonest(small)
    if tone is None:
        return None
    apart = np.abs(small.astype(np.int16) - tone).max(axis=2)
    for near in NEAR:
        box = _rectangle((apart > near).astype(np.uint8))
        if box is not None:
            x, y, wide, high = (step * v for v in box)
            return x, y, min(wide, pixels.shape[1] - x), min(high, pixels.shape[0] - y)
    return None


def _commonest(pixels: NDArray[np.uint8]) -> NDArray[np.int16] | None:
    """The tone, shape (3,), that the most pixels have but for their three lowest bits; None where no tone is common."""
    high = pixels >> 3
    packed = (high[..., 0].astype(np.intp) << 10) | (high[..., 1].astype(np.intp) << 5) | high[..., 2]
    count = np.bincount(packed.ravel())
    best = int(count.argmax())
    if count[best] < COMMON * packed.size:
        return None
    tone: NDArray[np.int16] = np.median(pixels[packed == best], axis=0).astype(np.int16)
    return tone


def _rectangle(other: NDArray[np.uint8]) -> Box | None:
    """The largest connected part of a mask of 0 and 1 that is a rectangle like a picture."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(other, connectivity=4)
    for label in (1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")).tolist():
        x, y, wide, high, area = (int(v) for v in stats[label])
        if area < FILLED * SMALLEST * other.size:
            return None
        if area >= FILLED * wide * high and max(wide, high) <= LONGEST * min(wide, high):
            box = _straightened((x, y, wide, high), labels[y : y + high, x : x + wide] == label, other.shape)
            if box is not None and _within_plain(box, other):
                return box
    return None


def _within_plain(box: Box, other: NDArray[np.uint8]) -> bool:
    x, y, wide, high = box
    outside = other.size - wide * high
    unlike = int(other.sum()) - int(other[y : y + high, x : x + wide].sum())
    return SMALLEST <= wide * high / other.size <= LARGEST and unlike <= (1 - PLAIN) * outside


def _straightened(box: Box, inside: NDArray[np.bool_], shape: tuple[int, ...]) -> Box | None:
    """The part of a box that has straight sides, where each side is straight or the picture's own."""
    x, y, wide, high = box
    rows, columns = inside.mean(axis=1), inside.mean(axis=0)
    left, right = _straight(columns, x > 0), _straight(columns[::-1], x + wide < shape[1])
    top, bottom = _straight(rows, y > 0), _straight(rows[::-1], y + high < shape[0])
    if left is None or right is None or top is None or bottom is None:
        return None
    wide, high = wide - left - right, high - top - bottom
    return (x + left, y + top, wide, high) if min(wide, high) > 0 else None


def _straight(filled: NDArray[np.float64], bordered: bool) -> int | None:
    """How many lines to leave off at a side: those of its rough edge and one more; None where it has no straight one."""
    if not bordered:
        return 0
    full = np.flatnonzero(filled[:SIDE] >= FILLED)
    return int(full[0]) + 1 if len(full) else None
