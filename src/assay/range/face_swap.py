"""Face swaps by landmarks: the face of one portrait bent onto another's, its colours matched, its edge blended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.media.faces import Mesh
from assay.range import blending, portraits
from assay.range.generator import Made, Parent, changed
from assay.range.self_blend import ROOM, SEEN, Blend
from assay.types import JSON, Kind

BLENDS = ("feather", "laplacian", "poisson")
THINNED = 3  # every third point of the mesh bends: the others lie between
GRID = 6  # pixels between the places where the bend is computed exactly
STIFFNESS = 1e-4  # of the bend, in units of the points' extent: smooths the mesh's own jitter
TURNED = (
    0.5  # difference of how far the heads are turned (`portraits.turned`) above which a pair does not serve
)
LEAST = 0.4  # donor's side over host's: a smaller face would only be blurred


class FaceSwap:
    """A thin-plate spline through the points of both meshes, then one of three blends."""

    name: ClassVar[str] = "face_swap"
    version: ClassVar[int] = 1
    kind: ClassVar[Kind] = Kind.FACE_SWAP
    count: ClassVar[int] = 2
    faces: ClassVar[bool] = True
    area: ClassVar[tuple[float, float]] = (0.0005, 0.6)
    digital_source_type: ClassVar[str] = "compositeCapture"
    summary: ClassVar[str] = "The face of one portrait on the head of another."

    def __init__(self, find: portraits.Finder | None = None) -> None:
        """Take `find` to look for faces; without it, the pulled weights are opened when the first face is wanted."""
        self._find = find

    def make(self, parents: Sequence[Parent], rng: np.random.Generator) -> Made | None:
        cv2.setNumThreads(1)
        self._find = self._find or portraits.pulled()
        host, donor = parents
        theirs, given = (portraits.mesh_of(p, self._find) for p in (host, donor))
        made = swapped(host.pixels, theirs, donor.pixels, given, rng)
        if made is None:
            return None
        mask = changed(made.pixels, host.pixels, made.intended)
        return Made(made.pixels, mask, made.intended, made.parameters, (host, donor))


def swapped(
    host: NDArray[np.uint8],
    host_mesh: Mesh,
    donor: NDArray[np.uint8],
    donor_mesh: Mesh,
    rng: np.random.Generator,
) -> Blend | None:
    """Put the donor's face onto the host's head.

    Parameters
    ----------
    host, donor : ndarray of uint8, shapes (H, W, 3) and (h, w, 3)
        Not modified.
    host_mesh, donor_mesh : Mesh
    rng : numpy.random.Generator

    Returns
    -------
    made : Blend or None
        None where the heads are turned too differently or the donor's face is much the smaller one.
    """
    extent, there = portraits.side(host_mesh), portraits.side(donor_mesh)
    if abs(portraits.turned(host_mesh) - portraits.turned(donor_mesh)) > TURNED or there < LEAST * extent:
        return None
    drawn: JSON = {
        "blend": str(rng.choice(BLENDS)),
        "colour_match": round(float(rng.uniform(0.6, 1.0)), 2),
        "shrink": round(float(rng.uniform(0.86, 0.97)), 3),  # of the hull, about its centre
        "brow": round(
            float(rng.uniform(-0.78, -0.45)), 3
        ),  # down the face's own axis: hair above it stays the host's
        "feather": round(float(rng.uniform(0.01, 0.05)), 4),  # of the face's side
    }
    x, y, w, h = portraits.window(host_mesh, ROOM, host.shape)
    if min(w, h) < portraits.SMALLEST:
        return None
    at = host_mesh.points[:, :2] - (x, y)
    below = np.ascontiguousarray(host[y : y + h, x : x + w])
    face = _bent(donor, donor_mesh.points[:, :2], at, (w, h), there / extent)
    whole = portraits.hull(at, (w, h)) > 0
    face = blending.colours_matched(face, whole, below, whole, drawn["colour_match"])
    middle = at.mean(axis=0)
    kept = at[portraits.axes(host_mesh).of(host_mesh.points[:, :2])[:, 1] > drawn["brow"]]
    inside = portraits.hull(middle + (kept - middle) * drawn["shrink"], (w, h)) > 0
    laid, reach = _laid(face, below, inside, whole, extent, drawn)
    out, intended = host.copy(), np.zeros(host.shape[:2], bool)
    out[y : y + h, x : x + w], intended[y : y + h, x : x + w] = laid, reach
    return Blend(out, host, intended, drawn | {"face": [x, y, w, h]})


def _laid(
    face: NDArray[np.uint8],
    below: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    whole: NDArray[np.bool_],
    extent: float,
    drawn: JSON,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Blend as drawn: the picture, and what was meant to change."""
    if drawn["blend"] == "poisson":
        return blending.poisson(face, below, inside), inside
    if drawn["blend"] == "laplacian":
        # Around the face there is nothing to take: what lies outside of the mesh is the host's already.
        filled = np.where(whole[..., None], face, below)
        levels = int(np.clip(np.log2(max(extent, 2) * 0.06), 1, 5))
        mixed = laplacian(filled, below, inside.astype(np.float32), levels)
        return mixed, cv2.dilate(
            inside.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=3 * 2**levels
        ) > 0
    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(0.6, drawn["feather"] * extent))
    soft = np.asarray(soft * cv2.erode(whole.astype(np.uint8), np.ones((3, 3), np.uint8)), np.float32)
    return blending.alpha(face, below, soft), soft >= SEEN


def laplacian(
    upper: NDArray[np.uint8], below: NDArray[np.uint8], mask: NDArray[np.float32], levels: int
) -> NDArray[np.uint8]:
    """Mix two pictures scale by scale: coarse differences over a wide seam, fine ones over a narrow one.

    Parameters
    ----------
    upper, below : ndarray of uint8, shape (H, W, 3)
        Not modified.
    mask : ndarray of float32, shape (H, W)
        1 takes `upper`. Not modified.
    levels : int
        Halvings.

    References
    ----------
    P. Burt, E. Adelson, "A multiresolution spline with application to image mosaics", ACM TOG 2(4), 1983,
    doi:10.1145/245.247.
    """
    a, b, m = upper.astype(np.float32), below.astype(np.float32), mask
    details: list[NDArray[np.float32]] = []
    for _ in range(levels):
        sizes = (a.shape[1], a.shape[0])
        coarse = [np.asarray(cv2.pyrDown(v), np.float32) for v in (a, b, m)]
        fine_a, fine_b = a - cv2.pyrUp(coarse[0], dstsize=sizes), b - cv2.pyrUp(coarse[1], dstsize=sizes)
        details.append(np.asarray(fine_b + m[..., None] * (fine_a - fine_b), np.float32))
        a, b, m = coarse
    out = b + m[..., None] * (a - b)
    for fine in reversed(details):
        out = cv2.pyrUp(out, dstsize=(fine.shape[1], fine.shape[0])) + fine
    return np.rint(np.clip(out, 0, 255)).astype(np.uint8)


def _bent(
    donor: NDArray[np.uint8],
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    size: tuple[int, int],
    ratio: float,
) -> NDArray[np.uint8]:
    """Bend the donor so that its points `source` come to lie on `target`, on a canvas of `size` (width, height)."""
    if ratio > 1.5:  # much larger than needed: averaged first, or it would show steps
        small = cv2.resize(donor, None, fx=1 / ratio, fy=1 / ratio, interpolation=cv2.INTER_AREA)
        source = source * np.array([small.shape[1] / donor.shape[1], small.shape[0] / donor.shape[0]])
        donor = np.asarray(small, np.uint8)
    columns, rows = (max(2, -(-n // GRID) + 1) for n in size)
    x, y = np.meshgrid(np.linspace(0, size[0] - 1, columns), np.linspace(0, size[1] - 1, rows))
    where = spline(target[::THINNED], source[::THINNED], np.column_stack([x.ravel(), y.ravel()])).reshape(
        rows, columns, 2
    )
    place = _stretched(where.astype(np.float32), size)
    return np.asarray(
        cv2.remap(donor, place[..., 0], place[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101),
        np.uint8,
    )


def _stretched(coarse: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Interpolate values whose corners lie on the corner pixels of `size`."""
    x = np.linspace(0, coarse.shape[1] - 1, size[0], dtype=np.float32)
    y = np.linspace(0, coarse.shape[0] - 1, size[1], dtype=np.float32)
    columns, rows = np.meshgrid(x, y)
    return np.asarray(
        cv2.remap(coarse, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def spline(
    points: NDArray[np.float64], values: NDArray[np.float64], where: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Thin-plate spline: the smoothest map that takes `points` close to `values`, evaluated at `where`.

    Parameters
    ----------
    points : ndarray of float64, shape (N, 2)
    values : ndarray of float64, shape (N, 2)
    where : ndarray of float64, shape (M, 2)

    Returns
    -------
    mapped : ndarray of float64, shape (M, 2)

    References
    ----------
    F. Bookstein, "Principal warps: thin-plate splines and the decomposition of deformations", TPAMI 11(6), 1989,
    doi:10.1109/34.24792.
    """
    unit = max(1.0, float(np.ptp(points, axis=0).max()))
    p, q = points / unit, where / unit
    n = len(p)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _bump(p, p) + STIFFNESS * np.eye(n)
    system[:n, n:] = np.column_stack([np.ones(n), p])
    system[n:, :n] = system[:n, n:].T
    solved = np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))]))
    mapped: NDArray[np.float64] = (
        _bump(q, p) @ solved[:n] + np.column_stack([np.ones(len(q)), q]) @ solved[n:]
    )
    return mapped


def _bump(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The kernel r^2 log r between all of `a` (M, 2) and all of `b` (N, 2)."""
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    bump: NDArray[np.float64] = 0.5 * squared * np.log(np.maximum(squared, 1e-20))
    return bump
