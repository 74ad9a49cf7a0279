"""Of two places that agree, which is the copy? Its outline is an edge, and moving it cost fine detail."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

WINDOW = 400  # pixels of the picture itself: of a larger place only the middle is looked at
STEPS = 9  # profile across the outline, pixels to either side
NEAR = 6  # of them count as the outline, whose place is known that well


def outline_contrast(
    grey: NDArray[np.float32], affine: NDArray[np.float64], first: NDArray[np.bool_]
) -> float:
    """By how much steeper is the picture across the second place's outline than across the first one's?

    Parameters
    ----------
    grey : ndarray of float32, shape (H, W)
        Grey levels, 0 to 255.
    affine : ndarray of float64, shape (2, 3)
        Carries the first place to the second.
    first : ndarray of bool, shape (H, W)
        The first place.

    Returns
    -------
    contrast : float
        Difference of the greatest mean slopes, divided by their sum: -1 to 1. Positive: the second place was pasted.
    """
    points, normals = _outline(first)
    if len(points) < 24:
        return 0.0
    steps = np.arange(-STEPS, STEPS + 1)
    lines = points[:, None] + normals[:, None] * steps[:, None]  # (N, S, 2)
    there = lines @ affine[:, :2].T + affine[:, 2]
    height, width = grey.shape
    good = np.ones(len(points), bool)
    for p in (lines, there):
        good &= ((p > 1) & (p < np.array([width - 2, height - 2]))).all(axis=(1, 2))
    if good.sum() < 24:
        return 0.0
    slopes = [_slopes(grey, p[good]) for p in (lines, there)]
    # Deep inside both are the same but for gain: brought to one scale there.
    inner = [float(s[: STEPS - NEAR + 1].mean()) + 0.5 for s in slopes]
    crest = [float(s[STEPS - NEAR : STEPS + NEAR].max()) / i for s, i in zip(slopes, inner, strict=True)]
    both = crest[0] + crest[1]
    return (crest[1] - crest[0]) / both if both else 0.0  # no slope at either: drawn planes


def detail_lost(
    picture: NDArray[np.uint8], affine: NDArray[np.float64], first: NDArray[np.bool_], zoom: float
) -> float:
    """Would the second place have lost its fine detail by coming from the first, rather than the other way round?

    Each place is predicted from the other by interpolation. A copy has as much fine detail as its prediction; an
    original has more. Detail is measured against coarser detail, so that changes of tone do not matter.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W)
        Grey levels of the picture itself.
    affine : ndarray of float64, shape (2, 3)
        Carries the first place to the second, in pixels of the shrunk picture.
    first : ndarray of bool, shape (H / zoom, W / zoom)
        The first place.
    zoom : float
        Pixels of the picture to one of the shrunk one.

    Returns
    -------
    lost : float
        In nats of energy. Positive: the second place is the copy; about 0: it was moved by whole pixels.
    """
    forth = scaled(affine, zoom)
    back = cv2.invertAffineTransform(forth)
    second = cv2.warpAffine(first.astype(np.uint8), affine, (first.shape[1], first.shape[0])) > 0
    kept_first = _excess(picture, back, first, zoom)
    kept_second = _excess(picture, forth, second, zoom)
    return kept_first - kept_second


def scaled(affine: NDArray[np.float64], zoom: float) -> NDArray[np.float64]:
    """The same map in pixels that are `zoom` times finer; centres of pixels lie at whole numbers."""
    out = affine.copy()
    out[:, 2] = affine[:, 2] * zoom + (zoom - 1) / 2 * (1 - affine[:, :2].sum(axis=1))
    return out


def _excess(
    picture: NDArray[np.uint8], into: NDArray[np.float64], mask: NDArray[np.bool_], zoom: float
) -> float:
    """How much more fine detail does a place have than what `into` would bring there? In nats of energy."""
    ys, xs = np.nonzero(mask)
    height, width = picture.shape
    middle = np.array([np.median(xs), np.median(ys)]) * zoom
    size = int(min(WINDOW, max(np.ptp(xs), np.ptp(ys)) * zoom + 1))
    left, top = (
        int(np.clip(c - size / 2, 0, max(0, n - size))) for c, n in zip(middle, (width, height), strict=True)
    )
    here = picture[top : top + size, left : left + size].astype(np.float32)
    shifted = into.copy()
    shifted[:, 2] -= (left, top)
    canvas = (here.shape[1], here.shape[0])
    there = cv2.warpAffine(
        picture, shifted, canvas, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    to_window = np.array([[zoom, 0, (zoom - 1) / 2 - left], [0, zoom, (zoom - 1) / 2 - top]])
    inner = cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8))
    where = cv2.warpAffine(inner, to_window, canvas, flags=cv2.INTER_NEAREST) > 0
    if where.sum() < 200:
        return 0.0
    return _fineness(here, where) - _fineness(there, where)


def _fineness(grey: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """Logarithm of the energy of the finest detail over that of coarser detail."""
    soft, softer = cv2.GaussianBlur(grey, (0, 0), 0.8), cv2.GaussianBlur(grey, (0, 0), 2.0)
    coarse = np.abs(soft - softer)[where]
    kept = coarse < 4 * np.median(coarse) + 1  # strong edges must not speak for the whole
    fine = ((grey - soft)[where][kept] ** 2).mean() + 0.05
    return math.log(float(fine) / float((coarse[kept] ** 2).mean() + 0.05))


def _outline(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of the outlines and their outward normals, both (N, 2) as (x, y)."""
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3.0)
    gx, gy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    contours, _ = cv2.findContours((soft > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return np.empty((0, 2)), np.empty((0, 2))
    points = max(contours, key=len)[:, 0]
    points = points[:: max(1, len(points) // 400)]
    normal = -np.stack([gx[points[:, 1], points[:, 0]], gy[points[:, 1], points[:, 0]]], axis=1)
    length = np.maximum(np.hypot(normal[:, 0], normal[:, 1]), 1e-6)
    return points.astype(np.float64), normal / length[:, None]


def _slopes(grey: NDArray[np.float32], lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean slope along lines (N, S, 2): (S - 1,)."""
    at = lines.astype(np.float32)
    values = cv2.remap(
        grey, np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1]), cv2.INTER_LINEAR
    )
    return np.asarray(np.abs(np.diff(values, axis=1)).mean(axis=0), np.float64)
