"""Where do hits crowd among trials? The strongest windows of a grid of cells, and the outlines of what they touch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.evidence.kernels import regions
from assay.media.views import Image, upright, upright_box
from assay.types import Region

MOST_POINTS = 64  # of a polygon


@dataclass(frozen=True, slots=True)
class Crowd:
    """A window in which hits crowd beyond chance."""

    strength: (
        float  # -log10 of the expected number of such windows by chance; negative: less than chance brings
    )
    window: tuple[int, int, int, int]  # top, left, height, width, in cells


def strongest(
    hits: NDArray[np.int32], trials: NDArray[np.int32], chances: NDArray[np.float64], *, fewest: int = 32
) -> Crowd:
    """Find the window whose hits are the least likely, over all windows of `levels`.

    Parameters
    ----------
    hits, trials : ndarray of int32, shape (R, C)
        Counts per cell, ``hits <= trials``. Not modified.
    chances : ndarray of float64, shape (R, C)
        The expected hits of each cell. Not modified.
    fewest : int
        Windows with fewer trials are left out.
    """
    best, place, cell, tests = 0.0, (0, 0, 0, 0), 1, 1
    for windows in levels(*hits.shape):
        tables = regions.summed(hits), regions.summed(trials), summed(chances)
        for h, w in windows:
            nats, top, left = regions.most_surprising(*tables, h, w, fewest)
            tests += (hits.shape[0] - h + 1) * (hits.shape[1] - w + 1)
            if nats > best:
                best, place = nats, (int(top) * cell, int(left) * cell, h * cell, w * cell)
        hits, trials, cell = regions.halved(hits), regions.halved(trials), cell * 2
        chances = regions.halved(chances)
    return Crowd(best / math.log(10) - math.log10(tests), place)


def levels(rows: int, columns: int) -> Iterator[list[tuple[int, int]]]:
    """The windows to search: small ones in single cells, twice as large ones in cells of twice the size, and so on."""
    sides: tuple[int, ...] = (4, 6, 8)
    while windows := regions.shapes(rows, columns, sides):
        yield windows
        rows, columns, sides = rows // 2, columns // 2, (6, 8)


def summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Summed-area table with a zero row and column in front: (R, C) to (R + 1, C + 1)."""
    out = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(np.cumsum(values, axis=0), axis=1, out=out[1:, 1:])
    return out


def touched(mask: NDArray[np.bool_], window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """The connected part of `mask` that has the most cells in `window`, its holes filled; the window if there is none."""
    top, left, h, w = window
    part = np.s_[top : top + h, left : left + w]
    labels = regions.connected(mask.astype(np.uint8))
    counts = np.bincount(labels[part].ravel(), minlength=1)
    counts[0] = 0
    if counts.max() == 0:
        alone = np.zeros(mask.shape, bool)
        alone[part] = True
        return alone
    chosen = (labels == counts.argmax()).astype(np.uint8)
    outer, _ = cv2.findContours(chosen, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(chosen, outer, -1, 1, thickness=cv2.FILLED)
    return np.asarray(filled > 0, bool)


def region(mask: NDArray[np.bool_], cell: int, view: Image, score: float) -> Region:
    """The outline of a connected mask of cells of `cell` pixels, as a polygon in the upright picture."""
    height, width = view.coded.shape[:2]
    outer, _ = cv2.findContours(
        mask.repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    line, slack = max(outer, key=len), 0.7
    while len(short := cv2.approxPolyDP(line, slack, closed=True)) > MOST_POINTS or len(short) < 3:
        if len(short) < 3:
            short = line
            break
        slack *= 1.5
    # A contour runs through centres of half cells: move it out to the cells' own edges.
    points = (short.reshape(-1, 2) + np.float64(0.5)) * (cell / 2)
    turned = view.upright.shape
    places = [
        upright_box(
            (min(float(x), width), min(float(y), height), 0.0, 0.0), (height, width), view.orientation
        )
        for x, y in points
    ]
    return Region(tuple((p[0], p[1]) for p in places), turned[1], turned[0], score=score)


def heat(values: NDArray[np.float64], orientation: int) -> NDArray[np.uint8]:
    """Values of 0 to 1 per cell as an upright map of at most 512 on a side."""
    step = -(-max(values.shape) // 512)
    scaled = (values[::step, ::step].clip(0, 1) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(upright(scaled, orientation))
