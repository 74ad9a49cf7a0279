"""Regions whose noise is stronger or weaker than that of other parts of the picture as bright and as busy as they are.

Noise grows with light, and texture passes for noise: so each cell of 16 x 16 pixels is ranked among the cells of its own
brightness and activity. A region is reported when its ranks crowd at one end far more than they do anywhere in most
honest photographs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.detectors import _outlines
from assay.evidence.kernels import grid
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome, Reason

SIDE = 16  # pixels of a cell
SMALLEST = 12  # cells on the shorter side
LARGEST = 2_000_000  # pixels: of larger pictures the middle is examined
STRATA = 6  # of brightness, and of activity within each
FEWEST = 8  # cells in a stratum
USABLE = 0.3  # share of cells that must be neither clipped nor flat
CLIPPED = 0.05  # share of a cell's pixels near the end of the scale
STRONGEST = 600.0  # bound of the score
FOUND = 460.0  # nats: see docs/detectors/noise_level.md
BOUND = 1.5  # nats of one cell
WHOLE = 0.5  # of the cells: what covers more is not a region
HIGH_PASS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6  # unit gain on white noise


@dataclass(frozen=True, slots=True)
class Cells:
    """What the cells of a window show: arrays of shape (R, C)."""

    noise: NDArray[np.float32]  # mean magnitude of the high-pass residual, grey levels
    light: NDArray[np.float32]  # mean grey level
    activity: NDArray[np.float32]  # mean gradient of the smoothed picture
    usable: NDArray[np.bool_]
    top: int  # of the window, in cells
    left: int


class NoiseLevel:
    card: ClassVar[Card] = Card(
        name="noise_level",
        version=1,
        reads=Image,
        family="residual",
        claims=frozenset({Kind.SPLICE, Kind.INPAINTING}),
        summary="Regions with more or less noise than others as bright and as busy as they are",
        source="https://doi.org/10.5201/ipol.2024.462",
        licence="Apache-2.0",
    )

    def examine(self, view: Image, /) -> Finding:
        height, width = view.coded.shape[:2]
        if min(height, width) < SMALLEST * SIDE:
            return Finding.not_applicable("too_small", f"A side is under {SMALLEST * SIDE} pixels.")
        cells = measured(view.coded)
        if cells.usable.mean() < USABLE:
            return Finding.not_applicable(
                "no_texture", "Most of the picture is flat or clipped: it shows no noise to compare."
            )
        ranks = ranked(cells)
        known = ~np.isnan(ranks)
        more = np.where(known, np.log(3) + 2 * np.log(np.where(known, ranks, 1.0)), 0.0)
        less = np.where(known, np.log(3) + 2 * np.log(np.where(known, 1 - ranks, 1.0)), 0.0)
        parts = [(ratio, _credible(_outlines.strongest(ratio, BOUND))) for ratio in (more, less)]
        higher, lower = (part.strength if part else 0.0 for _, part in parts)
        ratio, part = parts[0] if higher >= lower else parts[1]
        return _finding(part, ratio, cells, "higher" if higher >= lower else "lower", view)


def measured(coded: NDArray[np.uint8]) -> Cells:
    """Measure noise, light and activity in the cells of a picture, or of the middle of a large one.

    Parameters
    ----------
    coded : ndarray of uint8, shape (H, W, 3)
        Not modified.

    Notes
    -----
    The residual is taken only where its 3 x 3 pixels lie inside one block of 8 x 8 from the corner on: the steps between
    the blocks of a JPEG are not noise.
    """
    rows, columns = coded.shape[0] // SIDE, coded.shape[1] // SIDE
    share = min(1.0, (LARGEST / (rows * columns * SIDE**2)) ** 0.5)
    high, wide = max(SMALLEST, int(rows * share)), max(SMALLEST, int(columns * share))
    top, left = (rows - high) // 2, (columns - wide) // 2
    window = coded[top * SIDE : (top + high) * SIDE, left * SIDE : (left + wide) * SIDE]
    grey = grid.luma(np.ascontiguousarray(window))
    plain = grey.astype(np.float32)
    residual = np.abs(cv2.filter2D(plain, -1, HIGH_PASS))
    inside = np.isin(np.arange(SIDE) % 8, (0, 7), invert=True)
    noise = _cut(residual)[:, inside][..., inside].mean(axis=(1, 2, 3)).reshape(high, wide)
    smooth = cv2.GaussianBlur(plain, (0, 0), 2.0)
    gradient = np.abs(cv2.Sobel(smooth, -1, 1, 0)) + np.abs(cv2.Sobel(smooth, -1, 0, 1))
    ends = ((grey <= 6) | (grey >= 249)).astype(np.float32)
    usable = (_means(ends) < CLIPPED) & (noise > 0.05)
    return Cells(noise, _means(plain), _means(gradient), usable, top, left)


def _cut(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut a plane into its cells: (R * C, SIDE, 1, SIDE)."""
    rows, columns = plane.shape[0] // SIDE, plane.shape[1] // SIDE
    cells = plane.reshape(rows, SIDE, columns, SIDE).transpose(0, 2, 1, 3)
    return cells.reshape(rows * columns, SIDE, 1, SIDE)


def _means(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = plane.shape[0] // SIDE, plane.shape[1] // SIDE
    means: NDArray[np.float32] = plane.reshape(rows, SIDE, columns, SIDE).mean(axis=(1, 3))
    return means


def ranked(cells: Cells) -> NDArray[np.float64]:
    """Rank each cell's noise among cells of its brightness and activity: (R, C) between 0 and 1, NaN where unknown."""
    ranks = np.full(cells.noise.shape, np.nan)
    places = np.flatnonzero(cells.usable)
    by_light = places[np.argsort(cells.light.ravel()[places], kind="stable")]
    for band in np.array_split(by_light, STRATA):
        by_activity = band[np.argsort(cells.activity.ravel()[band], kind="stable")]
        for stratum in np.array_split(by_activity, STRATA):
            if len(stratum) < FEWEST:
                continue
            order = np.argsort(np.argsort(cells.noise.ravel()[stratum], kind="stable"), kind="stable")
            ranks.ravel()[stratum] = (order + 0.5) / len(stratum)
    return ranks


def _credible(part: _outlines.Part | None) -> _outlines.Part | None:
    return part if part is not None and part.cells.mean() <= WHOLE else None


def _finding(
    part: _outlines.Part | None, ratio: NDArray[np.float64], cells: Cells, way: str, view: Image
) -> Finding:
    strength = min(STRONGEST, part.strength) if part else 0.0
    if part is None or strength < FOUND:
        text = "Noise varies over the picture no more than in honest photographs."
        return Finding(Outcome.SCORED, score=strength, reasons=(Reason("noise_consistent", text),))
    rows, columns = (-(-n // SIDE) for n in view.coded.shape[:2])
    inside, map_ = np.zeros((rows, columns), bool), np.zeros((rows, columns))
    place = np.s_[cells.top : cells.top + ratio.shape[0], cells.left : cells.left + ratio.shape[1]]
    inside[place], map_[place] = part.cells, ratio
    words = "stronger" if way == "higher" else "weaker"
    text = f"A region has {words} noise than other parts as bright and as busy: it may come from another picture."
    return Finding(
        Outcome.SCORED,
        score=strength,
        reasons=(Reason(f"noise_{way}_region", text),),
        regions=_outlines.regions_of(inside, view, SIDE, strength),
        heat=_outlines.heat_of(map_, view.orientation, 1.0),
    )
