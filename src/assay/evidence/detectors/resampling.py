"""Regions that were enlarged, shrunk or turned, while the rest was not.

Interpolation makes some pixels the weighted mean of their neighbours, at a period that depends on the scale. In the
spectrum of how well each pixel is predicted this stands as a line, and as its twin at a right angle, since pictures are
resampled in both directions. Lines that the whole picture has are its own past and no forgery.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.detectors import _crowds
from assay.evidence.kernels import grid, periods
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome, Reason

SIDES = (128, 256)  # of the windows, in pixels; they overlap by half
MOST = 1100  # pixels on a side that are examined: of larger pictures the middle
SMALLEST = 320
FLAT = 0.25  # mean error in grey levels under which a window shows nothing but rounding
FOUND = 3.0  # one false alarm in 10 ** FOUND pictures, as far as spectra are noise
CHANCE = math.log(2) / 2  # median of the weaker one of two lines of noise
OWN_LINE = 8.0  # times its surroundings: a line in the error itself, not in its size, is a texture's
TRIED = 12  # lines that are looked at in a window size
CELL = 8  # pixels, of the outline
WHOLE = 0.5  # of the picture: more is not a region


@dataclass(frozen=True, slots=True)
class Line:
    """A pair of lines that one window has."""

    strength: float  # -log10 of the expected number of such pairs by chance
    window: tuple[int, int, int, int]  # top, left, height, width, in pixels
    frequency: tuple[float, float]  # vertical and horizontal, cycles a pixel


class Resampling:
    card: ClassVar[Card] = Card(
        name="resampling",
        version=1,
        reads=Image,
        family="resampling",
        claims=frozenset({Kind.SPLICE, Kind.COPY_MOVE}),
        summary="Regions that were scaled or turned, while the rest of the picture was not",
        source="https://doi.org/10.1145/1411328.1411333",
        licence="Apache-2.0",
    )

    def examine(self, view: Image, /) -> Finding:
        height, width = view.coded.shape[:2]
        if min(height, width) < SMALLEST:
            return Finding.not_applicable(
                "too_small",
                f"A side is under {SMALLEST} pixels: too little to compare one part with another.",
            )
        top, left = max(0, height - MOST) // 16 * 8, max(0, width - MOST) // 16 * 8
        part = np.ascontiguousarray(view.coded[top : top + MOST, left : left + MOST])
        error, fit = periods.errors(grid.luma(part))
        seen = [s for side in SIDES if (s := searched(error, fit, side)) is not None]
        if not seen:
            return Finding.not_applicable(
                "no_texture", "The picture is too smooth to show whether it was interpolated."
            )
        best = max((line for line, _ in seen), key=lambda s: s.strength)
        everywhere = any(common for _, common in seen)
        cells = outlined(fit, best) if best.strength > FOUND else None
        if cells is None or cells.mean() > WHOLE:
            return Finding(Outcome.SCORED, min(best.strength, FOUND), (_quiet(everywhere),))
        full = np.zeros((height // CELL, width // CELL), bool)
        place = np.s_[top // CELL :, left // CELL :]
        full[place][: cells.shape[0], : cells.shape[1]] = cells[
            : full[place].shape[0], : full[place].shape[1]
        ]
        text = "A region was scaled or turned, the rest of the picture was not: pasted, or moved within the picture."
        return Finding(
            Outcome.SCORED,
            best.strength,
            (Reason("resampled_region", text),),
            (_crowds.region(full, CELL, view, best.strength),),
            heat=_crowds.heat(full.astype(np.float64), view.orientation),
        )


def searched(error: NDArray[np.float32], fit: NDArray[np.float32], side: int) -> tuple[Line, bool] | None:
    """The strongest pair of lines that a few windows of `side` pixels have and the others lack.

    Parameters
    ----------
    error, fit : ndarray of float32, shape (H, W)
        What `periods.errors` returns. Not modified.
    side : int
        Of the windows, in pixels.

    Returns
    -------
    line : Line
        Of negative strength where there is none.
    everywhere : bool
        Does the picture as a whole have lines of its own?

    None where fewer than four windows show more than rounding.
    """
    places = list(_placed(error, side))
    if len(places) < 4:
        return None
    windows = np.stack([fit[y : y + side, x : x + side] for y, x in places])
    pairs = periods.crossed(periods.whitened(windows)) * periods.admissible(side)
    middle = np.median(pairs, axis=0)
    # The median of so many windows of noise stays below this, and a region does not move it.
    common = middle > max(0.9, CHANCE + 4 / math.sqrt(len(places)))
    pairs *= ~(cv2.dilate(common.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    tests = math.log10(max(1, int(periods.admissible(side).sum())) * len(places) * len(SIDES))
    best = Line(-tests, (0, 0, side, side), (0.0, 0.0))
    for index in np.argsort(-pairs.max(axis=(1, 2)))[:TRIED]:
        y, x = np.unravel_index(int(pairs[index].argmax()), pairs[index].shape)
        strength = 2 * float(pairs[index, y, x]) / math.log(10) - tests
        if strength <= best.strength:
            break
        top, left = places[index]
        if _alone(pairs[:, y, x], int(index), places, side) and not _own(
            error, places[index], side, (int(y), int(x))
        ):
            best = Line(strength, (top, left, side, side), (float(y) / side, float(x) / side))
    return best, bool(common.any())


def _placed(error: NDArray[np.float32], side: int) -> Iterator[tuple[int, int]]:
    """Upper left corners of the windows that show more than rounding."""
    height, width = error.shape
    for y in range(0, height - side + 1, side // 2):
        for x in range(0, width - side + 1, side // 2):
            if float(np.abs(error[y : y + side : 2, x : x + side : 2]).mean()) > FLAT:
                yield y, x


def _alone(powers: NDArray[np.float32], index: int, places: list[tuple[int, int]], side: int) -> bool:
    """Are most windows apart from this one at chance? Weak lines of the whole picture peak somewhere, too."""
    far = [
        float(p)
        for p, (y, x) in zip(powers, places, strict=True)
        if abs(y - places[index][0]) > side or abs(x - places[index][1]) > side
    ]
    return len(far) < 4 or float(np.median(far)) < CHANCE + 1.5 / math.sqrt(len(far))


def _own(error: NDArray[np.float32], place: tuple[int, int], side: int, pair: tuple[int, int]) -> bool:
    """Does the error itself have these lines? Then a texture repeats; interpolation shows in the error's size alone."""
    top, left = place
    power = periods.crossed(periods.whitened(error[None, top : top + side, left : left + side]))[0]
    y, x = pair
    return bool(power[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max() > OWN_LINE)


def outlined(fit: NDArray[np.float32], line: Line) -> NDArray[np.bool_]:
    """The connected cells of 8 x 8 pixels around the window in which both lines are at work: (H // 8, W // 8)."""
    height, width = fit.shape[0] // CELL * CELL, fit.shape[1] // CELL * CELL
    spread = cv2.boxFilter(fit, -1, (63, 63))[:height, :width]
    varied = (fit[:height, :width] - spread).astype(np.float32)
    y, x = np.arange(height)[:, None], np.arange(width)
    v, u = line.frequency
    total = np.zeros((height // CELL, width // CELL), np.float32)
    for fy, fx in ((v, u), (-u, v)):
        wave = np.exp(-2j * np.pi * fy * y) * np.exp(-2j * np.pi * fx * x)
        product = (varied * wave).reshape(height // CELL, CELL, width // CELL, CELL).sum(axis=(1, 3))
        real, imaginary = (
            cv2.boxFilter(np.ascontiguousarray(c, dtype=np.float32), -1, (7, 7), normalize=False)
            for c in (product.real, product.imag)
        )
        total += np.hypot(real, imaginary)
    power = (varied**2).reshape(height // CELL, CELL, width // CELL, CELL).sum(axis=(1, 3))
    total /= np.sqrt(cv2.boxFilter(power, -1, (7, 7), normalize=False)) + np.float32(1e-3)
    window = tuple(n // CELL for n in line.window)
    top, left, h, w = window
    inside = float(np.percentile(total[top : top + h, left : left + w], 75))
    outside = float(np.median(total))
    return _crowds.touched(total > (inside + outside) / 2, (top, left, h, w))


def _quiet(everywhere: bool) -> Reason:
    if everywhere:
        return Reason(
            "resampled_as_a_whole", "The whole picture was scaled or turned once: that alone is no forgery."
        )
    return Reason("resampling_none", "No part of the picture shows a scale or a turn of its own.")
