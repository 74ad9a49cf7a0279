"""How well the regions of a finding fall on what was really changed, pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from assay.types import Region


def rasterised(regions: Sequence[Region], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill the union of the regions' polygons.

    Parameters
    ----------
    regions : sequence of Region
        In pixels of upright pictures, scaled to `shape` where their own size differs.
    shape : (int, int)
        Height and width.

    Returns
    -------
    inside : ndarray of bool, shape (H, W)
    """
    height, width = shape
    canvas = Image.new("1", (width, height))
    pen = ImageDraw.Draw(canvas)
    for region in regions:
        across, down = width / max(1, region.width), height / max(1, region.height)
        # Pixel k covers k to k + 1; the pen fills pixel numbers, both ends included.
        points = [
            (min(max(round(x * across), 0), width), min(max(round(y * down), 0), height))
            for x, y in region.points
        ]
        if len(points) >= 3:
            middle = [sum(p[k] for p in points) / len(points) for k in (0, 1)]
            pen.polygon([(x - (x > middle[0]), y - (y > middle[1])) for x, y in points], fill=1)
    return np.asarray(canvas, bool)


def f1(regions: Sequence[Region], mask: NDArray[np.bool_]) -> float | None:
    """Harmonic mean of precision and recall over pixels.

    Parameters
    ----------
    regions : sequence of Region
        What was found; nothing found is 0.
    mask : ndarray of bool, shape (H, W)
        What was changed.

    Returns
    -------
    f1 : float or None
        0 to 1; None where nothing was changed (a crop may have cut it away).
    """
    changed = int(mask.sum())
    if not changed:
        return None
    found = rasterised(regions, mask.shape) if regions else np.zeros(mask.shape, bool)
    both = int((found & mask).sum())
    score = 2 * both / (int(found.sum()) + changed)
    return score if math.isfinite(score) else None
