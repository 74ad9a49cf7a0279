"""Outlines of what is cut out and pasted: smooth blobs, polygons, segments of the picture; where they go; soft edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OUTLINES = ("blob", "polygon", "segment")
WORKED = 160  # pixels: segments are sought in a picture of this length
SPOTS = 24  # where a segment is begun, until one serves
SOLID = 0.6  # least share that a segment has of its convex hull
POINTS = 48  # at most, of an outline that is written down


def outline(
    pixels: NDArray[np.uint8], kind: str, area: float, rng: np.random.Generator
) -> NDArray[np.bool_] | None:
    """Draw an outline on a picture.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        The picture; only `segment` looks at it.
    kind : str
        One of `OUTLINES`.
    area : float
        Wanted, in pixels. Blobs and polygons that are cut off by the picture's edge have less, segments have what the
        picture gives, between half and twice of it.

    Returns
    -------
    inside : ndarray of bool, shape (H, W), or None
        None where the picture has no such segment.
    """
    height, width = pixels.shape[:2]
    if kind == "segment":
        return segment(pixels, area, rng)
    points = _blob(rng) if kind == "blob" else _polygon(rng)
    points *= np.sqrt(area / abs(_shoelace(points)))
    reach = np.abs(points).max(axis=0)
    # The centre is drawn so that the outline lies inside, as far as it fits.
    low = np.minimum(reach, (width / 2, height / 2))
    points += rng.uniform(low, np.maximum((width, height) - low, low + 1e-6))
    filled = np.zeros((height, width), np.uint8)
    cv2.fillPoly(filled, [np.rint(points).astype(np.int32)], (1,))
    return filled > 0


def _blob(rng: np.random.Generator) -> NDArray[np.float64]:
    """A closed smooth curve around 0: a few harmonics of the radius over the angle, stretched; (N, 2)."""
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    radius = np.ones_like(angle)
    for k in range(2, 7):
        radius += rng.uniform(0, 0.5) / k * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    stretch, turn = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
    points = np.stack([radius * np.cos(angle), stretch * radius * np.sin(angle)], axis=1)
    c, s = np.cos(turn), np.sin(turn)
    return np.asarray(points @ np.array([[c, s], [-s, c]]))


def _polygon(rng: np.random.Generator) -> NDArray[np.float64]:
    """Four to nine corners around 0, in order of their angle; (N, 2)."""
    corners = int(rng.integers(4, 10))
    angle = (np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) * 2 * np.pi / corners
    radius = rng.uniform(0.55, 1.0, corners)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _shoelace(points: NDArray[np.float64]) -> float:
    x, y = points.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def segment(pixels: NDArray[np.uint8], area: float, rng: np.random.Generator) -> NDArray[np.bool_] | None:
    """Cut something out along its own edges: the colours around a random spot, as far as they reach.

    The picture is shrunk and its texture smoothed away, then a region grows from the spot with a tolerance that rises
    until it has about the wanted area.

    References
    ----------
    D. Comaniciu, P. Meer, "Mean shift", IEEE TPAMI 24(5), 2002, doi:10.1109/34.1000236.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, WORKED / max(height, width))
    small = cv2.resize(
        pixels, (max(8, round(width * scale)), max(8, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    calm = cv2.pyrMeanShiftFiltering(np.ascontiguousarray(small), 6, 18)
    wanted = area * scale * scale
    rows, columns = small.shape[:2]
    for _ in range(SPOTS):
        spot = int(rng.integers(columns)), int(rng.integers(rows))
        grown = _grown(calm, spot, wanted)
        if grown is not None:
            soft = cv2.resize(grown.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
            return np.asarray(cv2.GaussianBlur(soft, (0, 0), max(0.8, 0.6 / scale)) > 0.5)
    return None


def _grown(calm: NDArray[np.uint8], spot: tuple[int, int], wanted: float) -> NDArray[np.uint8] | None:
    """Grow a region from a spot (x, y) to half to twice the wanted area; None where it jumps past or is a thread."""
    rows, columns = calm.shape[:2]
    for tolerance in (2, 3, 4, 6, 8, 11, 15, 20):
        found = np.zeros((rows + 2, columns + 2), np.uint8)
        cv2.floodFill(
            calm, found, spot, (0,), (tolerance,) * 3, (tolerance,) * 3, cv2.FLOODFILL_MASK_ONLY | 4
        )
        inside = _largest(found[1:-1, 1:-1])
        size = int(inside.sum())
        if size > 2 * wanted:
            return None
        if size >= 0.5 * wanted:
            outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            hull = cv2.contourArea(cv2.convexHull(np.concatenate(outlines)))
            return inside if size >= SOLID * hull else None
    return None


def _largest(inside: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep the largest piece, without threads and specks."""
    opened = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    if count < 2:
        return np.zeros_like(inside)
    outlines, _ = cv2.findContours(
        (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8),
        cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_NONE,
    )
    return np.asarray(cv2.drawContours(np.zeros_like(inside), outlines, -1, 1, cv2.FILLED), np.uint8)


def feathered(inside: NDArray[np.bool_], width: float) -> NDArray[np.float32]:
    """Give an outline a soft edge: opacity 0 to 1, rising over `width` pixels around it; 0 gives a hard edge."""
    if width <= 0:
        return inside.astype(np.float32)
    solid = inside.astype(np.uint8)
    within = cv2.distanceTransform(solid, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)
    # Half a pixel: distances are taken between centres, the outline runs between them.
    signed = np.where(inside, within - 0.5, 0.5 - outside)
    return np.asarray(np.clip(0.5 + signed / width, 0, 1), np.float32)


def ring(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """What lies around an outline, up to `width` pixels away."""
    grown = cv2.dilate(
        inside.astype(np.uint8),
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1)),
    )
    return np.asarray((grown > 0) & ~inside)


def similarity(
    centre: Sequence[float], target: Sequence[float], *, scale: float, degrees: float
) -> NDArray[np.float64]:
    """The matrix (2, 3) that turns and scales around `centre` and brings it to `target`; points are (x, y)."""
    c, s = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    turn = np.array([[c, s], [-s, c]])
    return np.column_stack([turn, np.asarray(target) - turn @ np.asarray(centre)])


def centre_of(inside: NDArray[np.bool_]) -> tuple[float, float]:
    """The middle of the outline's box, (x, y)."""
    x, y, w, h = cv2.boundingRect(inside.astype(np.uint8))
    return x + (w - 1) / 2, y + (h - 1) / 2


def polygon_of(inside: NDArray[np.bool_]) -> list[list[int]]:
    """The outer outline as at most 48 points [x, y], for a recipe."""
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return []
    points = max(outlines, key=len)[:, 0]
    step = max(1, -(-len(points) // POINTS))
    return [[int(x), int(y)] for x, y in points[::step]]
