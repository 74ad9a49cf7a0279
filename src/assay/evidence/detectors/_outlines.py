"""Where a map of log-likelihood ratios is positive: connected parts, their sums, and outlines as regions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.media.views import Image, upright
from assay.types import Region

cv2.setNumThreads(1)  # examiners must not start threads
WIDTHS = (1.5, 3.0, 5.0)  # standard deviations of the smoothing, in cells
MOST_POINTS = 64


@dataclass(frozen=True, slots=True)
class Part:
    """A connected part of the map in which the ratio, smoothed, is positive."""

    strength: float  # the sum of the bounded ratios inside, nats
    cells: NDArray[np.bool_]  # (R, C)


def strongest(ratio: NDArray[np.float64], bound: float) -> Part | None:
    """The part with the greatest sum, over several smoothings.

    Parameters
    ----------
    ratio : ndarray of float64, shape (R, C)
        Log-likelihood ratio of each cell, in nats. Not modified.
    bound : float
        No cell may weigh more than this, either way.
    """
    bounded = np.clip(ratio, -bound, bound).astype(np.float32)
    best: Part | None = None
    for width in WIDTHS:
        smooth = cv2.GaussianBlur(bounded, (0, 0), width, borderType=cv2.BORDER_REFLECT)
        number, labels = cv2.connectedComponents((smooth > 1e-6).astype(np.uint8), connectivity=4)
        if number < 2:
            continue
        sums = np.bincount(labels.ravel(), weights=bounded.ravel(), minlength=number)
        sums[0] = 0.0
        winner = int(sums.argmax())
        if sums[winner] > (best.strength if best else 0.0):
            best = Part(float(sums[winner]), labels == winner)
    return best


def regions_of(cells: NDArray[np.bool_], view: Image, side: int, score: float) -> tuple[Region, ...]:
    """Outlines of connected cells of `side` pixels, upright; holes are filled, specks of one cell left out."""
    height, width = view.coded.shape[:2]
    mask = cells.astype(np.uint8).repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
    turned = np.ascontiguousarray(upright(mask, view.orientation))
    contours, _ = cv2.findContours(turned, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    tall, wide = view.upright.shape[:2]
    found = []
    for contour in contours:
        if cv2.contourArea(contour) <= side * side:
            continue
        simple, tolerance = contour, side / 4
        while len(simple) > MOST_POINTS:
            simple, tolerance = cv2.approxPolyDP(contour, tolerance, closed=True), tolerance * 1.5
        points = tuple((float(x), float(y)) for x, y in simple.reshape(-1, 2))
        if len(points) >= 3:
            found.append(Region(points, wide, tall, score=score))
    return tuple(found)


def heat_of(ratio: NDArray[np.float64], orientation: int, full: float) -> NDArray[np.uint8]:
    """The smoothed positive ratio, upright, 255 at `full` and above, thinned to at most 512 on a side."""
    smooth = cv2.GaussianBlur(ratio.astype(np.float32), (0, 0), WIDTHS[0], borderType=cv2.BORDER_REFLECT)
    shades = (np.clip(smooth / full, 0, 1) * 255).astype(np.uint8)
    step = -(-max(shades.shape) // 512)
    return np.ascontiguousarray(upright(shades[::step, ::step], orientation))
