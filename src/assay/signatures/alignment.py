"""Lay one picture over another that shows nearly the same: an affine map and a change of brightness, found together.

Gauss-Newton on a pyramid, with weights that fade out what does not fit: a changed part, a logo, a caption. Pictures that
share a fingerprint share their framing to a few per cent, so the whole frames laid over each other are a good start.

References
----------
B. Lucas, T. Kanade, "An iterative image registration technique", IJCAI 1981; A. Bartoli, "Groupwise geometric and
photometric direct image registration", TPAMI 30(12), 2008; weights after J. Tukey's biweight.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.signatures.descent import brightness, normal_equations

cv2.setNumThreads(1)  # whoever calls it from a pool has threads enough

Luma = NDArray[np.float32]
Affine = NDArray[np.float64]  # (2, 3): pixels of the reference to pixels of the candidate
LEVELS = 3
STEPS = 12  # of Gauss-Newton a level, at most
FLOOR = 1.5  # grey levels: rounding and mild compression are never less than this
_STILL = 0.02  # pixels: smaller steps end a level
_CUT = 4.7  # residuals beyond so many deviations have no weight
_RIDGE = 1e-6  # of the normal matrix' mean: keeps a flat picture from moving


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A candidate laid over a reference, at the reference's size."""

    warped: Luma  # (h, w): the candidate in the reference's pixels and brightness; NaN outside of its frame
    gain: float  # the candidate's own grey levels = gain * `warped` + offset
    offset: float
    affine: Affine
    correlation: float  # of both where they overlap, -1 to 1, weights applied
    drift: float  # greatest move of a corner, as a share of the longer side


def luma_of(pixels: NDArray[np.uint8]) -> Luma:
    """Luma of BT.601 of pixels (H, W, 3), in float32: (H, W)."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY), np.float32)


def resized(luma: Luma, width: int, height: int) -> Luma:
    """Bring luma to a size: means of what lies under each pixel where it shrinks, linear where it grows."""
    shrinks = width * height < luma.shape[0] * luma.shape[1]
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(luma, (width, height), interpolation=kernel), np.float32)


def align(candidate: Luma, reference: Luma, mask: NDArray[np.bool_] | None = None) -> Alignment:
    """Lay `candidate` over `reference`.

    Parameters
    ----------
    candidate, reference : ndarray of float32, shape (h, w) each, equal
        Luma, 0 to 255. Not modified.
    mask : ndarray of bool, shape (h, w), optional
        Where both are expected to agree; everywhere by default.
    """
    height, width = reference.shape
    believed = np.ones((height, width), np.float32) if mask is None else mask.astype(np.float32)
    affine: Affine = np.eye(2, 3)
    for level in reversed(range(LEVELS)):
        w, h = max(8, width >> level), max(8, height >> level)
        parts = [resized(a, w, h) for a in (candidate, reference, believed)]
        affine = _descended(parts[0], parts[1], parts[2], affine)
    warped, inside = _warped(candidate, affine)
    weights = believed * inside
    gain, offset, weights = _brightness(warped, reference, weights)
    matched = (warped - offset) / gain
    matched[~inside] = np.nan
    absolute = _in_pixels(affine, width, height)
    return Alignment(
        matched,
        gain,
        offset,
        absolute,
        _correlation(warped, reference, weights),
        _drift(absolute, width, height),
    )


def _descended(candidate: Luma, reference: Luma, believed: Luma, affine: Affine) -> Affine:
    """Improve a map between pictures of one size; coordinates run from -1 to 1 along the longer side."""
    unit = 2 / max(reference.shape)
    normal, right = np.empty((6, 6)), np.empty(6)
    for _ in range(STEPS):
        warped, inside = _warped(candidate, affine)
        gain, offset, weights = _brightness(warped, reference, believed * inside)
        normal_equations(warped, reference, weights, gain, offset, unit, normal, right)
        normal += np.eye(6) * (_RIDGE * np.trace(normal) + 1e-9)
        step = np.linalg.solve(normal, right).reshape(2, 3)
        affine = np.asarray(affine + step, np.float64)
        if np.abs(step).max() < _STILL * unit:
            break
    return affine


def _brightness(warped: Luma, reference: Luma, weights: Luma) -> tuple[float, float, Luma]:
    """How both pictures' brightness hangs together, and the weights of what fits (`descent.brightness`)."""
    kept = np.empty(weights.shape, np.float32)
    gain, offset = brightness(warped, reference, weights, FLOOR, _CUT, kept)
    return gain, offset, kept


def _warped(candidate: Luma, affine: Affine) -> tuple[Luma, NDArray[np.bool_]]:
    """Read the candidate in the reference's pixels; and where it was there to be read."""
    height, width = candidate.shape
    matrix = _in_pixels(affine, width, height)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(candidate, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    corners = np.ones_like(candidate)
    inside = cv2.warpAffine(corners, matrix, (width, height), flags=flags, borderValue=0)
    return np.asarray(warped, np.float32), np.asarray(inside) > 0.99


def _in_pixels(affine: Affine, width: int, height: int) -> Affine:
    """The same map between pixels, from one between coordinates centred on the picture."""
    unit = 2 / max(width, height)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    turn = affine[:, :2]
    return np.column_stack([turn, centre - turn @ centre + affine[:, 2] / unit])


def _correlation(a: Luma, b: Luma, weights: Luma) -> float:
    total = float(weights.sum()) + 1e-9
    da, db = a - float((weights * a).sum()) / total, b - float((weights * b).sum()) / total
    power = float((weights * da**2).sum()) * float((weights * db**2).sum())
    return float((weights * da * db).sum() / np.sqrt(max(power, 1e-9)))


def _drift(matrix: Affine, width: int, height: int) -> float:
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]], float)
    moved = corners @ matrix.T - corners[:, :2]
    return float(np.hypot(moved[:, 0], moved[:, 1]).max()) / max(width, height)
