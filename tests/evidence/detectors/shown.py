"""How well the regions of a finding cover what was changed."""

from __future__ import annotations

import cv2
import numpy as np

from assay.types import Finding


def overlap(found: Finding, true: np.ndarray) -> float:
    """Intersection over union of all regions and a mask of bool (H, W)."""
    shown = np.zeros(true.shape, np.uint8)
    for region in found.regions:
        cv2.fillPoly(shown, [np.round(np.array(region.points)).astype(np.int32)], 1)
    return float((shown & true).sum() / (shown | true).sum())


def mask(shape: tuple[int, int], patch: object) -> np.ndarray:
    """A mask with one patch, as slices or an index."""
    true = np.zeros(shape, bool)
    true[patch] = True
    return true
