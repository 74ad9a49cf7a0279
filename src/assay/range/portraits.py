"""The face of a picture that a maker works on: its mesh, and its own axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.errors import Failed
from assay.media import faces
from assay.media.faces import Mesh, Session
from assay.range.generator import Parent

SMALLEST = 32  # pixels: a smaller face is not worked on
SURE = 0.5  # probability that the mesh lies on a face
LEFT, RIGHT, NOSE = (
    234,
    454,
    1,
)  # points of the mesh: the two edges of the face at the ears, the tip of the nose
BROW, CHIN = 10, 152  # top of the forehead, bottom of the chin
Box = tuple[int, int, int, int]
Finder = Callable[[NDArray[np.uint8]], Mesh | None]


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """A face's own coordinates: `across` from -1 to 1 between its edges, `down` from -1 (forehead) to 1 (chin)."""

    centre: NDArray[np.float64]  # (2,)
    matrix: NDArray[np.float64]  # (2, 2): from pixels to (across, down)

    def of(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry points (N, 2) from pixels into the face's own coordinates."""
        carried: NDArray[np.float64] = (points - self.centre) @ self.matrix.T
        return carried


def axes(mesh: Mesh) -> Axes:
    flat = mesh.points[:, :2]
    centre = (flat[BROW] + flat[CHIN]) / 2
    base = np.column_stack([(flat[RIGHT] - flat[LEFT]) / 2, (flat[CHIN] - flat[BROW]) / 2])
    if abs(np.linalg.det(base)) < 1:  # seen from the side, or not a face
        base = np.eye(2) * max(1.0, float(np.ptp(flat, axis=0).max()) / 2)
    return Axes(centre, np.linalg.inv(base))


def turned(mesh: Mesh) -> float:
    """How far the head is turned aside: log of the nose's distances from both edges of the face; 0 is frontal."""
    flat = mesh.points[:, :2]
    near, far = (float(np.linalg.norm(flat[NOSE] - flat[i])) for i in (LEFT, RIGHT))
    return float(np.log(max(near, 1.0) / max(far, 1.0)))


def side(mesh: Mesh) -> float:
    """The longer side of the box around the mesh, in pixels."""
    return float(np.ptp(mesh.points[:, :2], axis=0).max())


def window(mesh: Mesh, room: float, shape: tuple[int, ...]) -> Box:
    """Give the part of a picture of `shape` around a face, `room` times its side on every edge: x, y, width, height."""
    low, high = mesh.points[:, :2].min(axis=0), mesh.points[:, :2].max(axis=0)
    margin = room * side(mesh)
    x, y = (max(0, int(v - margin)) for v in low)
    right, bottom = (min(n, int(v + margin) + 1) for v, n in zip(high, shape[1::-1], strict=True))
    return x, y, max(0, right - x), max(0, bottom - y)


def hull(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    """Fill the convex hull of points (N, 2): 1 inside, 0 outside, shape (height, width) of `size` (width, height)."""
    filled = np.zeros(size[::-1], np.float32)
    cv2.fillConvexPoly(filled, cv2.convexHull(np.rint(points).astype(np.int32)), 1.0)
    return filled


def finder(detector: Session, landmarks: Session) -> Finder:
    """A function that gives the mesh on the largest sure face of a picture, or None."""

    def found(pixels: NDArray[np.uint8]) -> Mesh | None:
        for face in faces.detect(pixels, detector, smallest=SMALLEST):
            mesh = faces.mesh(pixels, face, landmarks)
            if mesh.presence >= SURE:
                return mesh
        return None

    return found


def mesh_of(parent: Parent, find: Finder) -> Mesh:
    """Find the face that a maker works on.

    Raises
    ------
    Failed
        If there is none.
    """
    mesh = find(parent.pixels)
    if mesh is None:
        raise Failed(
            f"{parent.path}: no face of {SMALLEST} pixels or more was found in what was taken of it",
            code="no_face",
        )
    return mesh


def pulled() -> Finder:
    """The finder with the pulled weights.

    Raises
    ------
    ModelError
        If they were not pulled; its hint says how to.
    """
    from assay import config
    from assay.evidence import models

    opened = models.sessions((faces.DETECTOR, faces.MESH), config.load().paths.models)
    return finder(opened[faces.DETECTOR], opened[faces.MESH])
