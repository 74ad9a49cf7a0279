"""Where faces are in a picture, and 468 points on each.

Two small networks of others do the seeing (see `assay models list`: `face_detection_full_range`, `face_landmark`); what
their numbers mean, at which sizes they look and how a large picture is cut into tiles for them is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)  # examiners must not start threads

DETECTOR: Final = "face_detection_full_range"
MESH: Final = "face_landmark"
LIKELY = 0.6  # the detector's own probability, over which a box is a face
ALIKE = 0.3  # overlap (IoU) over which two boxes are the same face
TILE = 576  # pixels: the detector finds faces from a twelfth of its square on (25 of 25 tried), here those of 48 pixels
OVERLAP = 144  # pixels that neighbouring tiles share at least: a face of that size lies whole in one of them
MOST_TILES = (
    64  # a picture over about 12 megapixels is cut into larger ones, and its smallest faces are missed
)
MESH_ROOM = 1.5  # the mesh network sees a square this much larger than the face's box
KEYPOINTS = (
    6  # right eye, left eye, tip of the nose, mouth, right ear, left ear: right and left of the person
)
Box = tuple[float, float, float, float]


class Session(Protocol):
    """An open network, in the manner of onnxruntime: one input, outputs in a fixed order."""

    def get_inputs(self) -> Sequence[Any]: ...

    def run(self, names: Sequence[str] | None, feeds: Mapping[str, Any], /) -> Sequence[Any]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face, in pixels of the picture it was found in."""

    box: Box  # x, y, width, height: from the brows to the chin, about as wide as high
    score: float  # the detector's probability
    keypoints: NDArray[np.float64]  # (6, 2) x, y

    @property
    def side(self) -> float:
        """The longer side of the box."""
        return max(self.box[2:])


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """468 points on a face, and how sure the network is that there is one."""

    points: NDArray[
        np.float64
    ]  # (468, 3) x, y in pixels of the picture; z in the same unit, away from the camera
    presence: float  # probability

    def outline(self) -> NDArray[np.float64]:
        """The convex hull of the points, shape (N, 2), clockwise as people see it."""
        hull = cv2.convexHull(self.points[:, :2].astype(np.float32), clockwise=True)
        return np.asarray(hull[:, 0], np.float64)


def detect(pixels: NDArray[np.uint8], session: Session, *, smallest: float = 0.0) -> tuple[Face, ...]:
    """Find the faces of a picture, the largest first.

    The whole picture is looked at in one square, then, where it is larger than a tile, tile by tile at a scale that shows
    faces of 48 pixels. Faces turned by much more than 45 degrees and those in profile are missed by the network.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        Upright, RGB. Not modified.
    session : Session
        The detector, input (1, S, S, 3) float32 in -1 to 1, outputs (1, A, 16) and (1, A, 1).
    smallest : float
        Pixels: faces whose longer side is shorter are left out.

    Returns
    -------
    faces : tuple of Face
    """
    image = np.ascontiguousarray(pixels)
    boxes, scores = [], []
    for x, y, w, h in squares(*image.shape[:2]):
        found, probability = _looked(image[y : y + h, x : x + w], session)
        inside = _whole(found, (x, y, w, h), image.shape[:2])
        boxes.append((found + np.tile([x, y], 2 + KEYPOINTS))[inside])
        scores.append(probability[inside])
    faces = _merged(np.concatenate(boxes), np.concatenate(scores))
    return tuple(sorted((f for f in faces if f.side >= smallest), key=lambda f: -f.side))


def squares(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """The parts of a picture that are looked at, as x, y, width, height: all of it, then overlapping tiles."""
    yield 0, 0, width, height
    if max(height, width) <= TILE + OVERLAP:
        return
    tile, share = TILE, OVERLAP
    while len(_starts(height, tile, share)) * len(_starts(width, tile, share)) > MOST_TILES:
        tile, share = tile * 5 // 4, share * 5 // 4
    for y in _starts(height, tile, share):
        for x in _starts(width, tile, share):
            yield x, y, min(tile, width), min(tile, height)


def _starts(length: int, tile: int, share: int) -> list[int]:
    """Evenly spread tiles that share at least `share` pixels."""
    if length <= tile:
        return [0]
    number = -(-(length - share) // (tile - share))
    return [round(i * (length - tile) / (number - 1)) for i in range(number)]


def anchors(side: int, stride: int = 4) -> NDArray[np.float64]:
    """Centres of the detector's cells, in pixels of its square, row by row.

    Returns
    -------
    centres : ndarray of float64, shape ((side // stride) ** 2, 2)
        x, y. The full-range detector has one anchor of fixed size at each.

    References
    ----------
    W. Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016; V. Bazarevsky et al., "BlazeFace", 2019.
    """
    cells = (np.arange(side // stride) + 0.5) * stride
    x, y = np.meshgrid(cells, cells)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def decoded(
    raw: NDArray[np.float32], logits: NDArray[np.float32], side: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn the detector's outputs into boxes and probabilities.

    Parameters
    ----------
    raw : ndarray of float32, shape (A, 16)
        Per anchor: centre x, y relative to the anchor, width, height, then six points x, y relative to the anchor, all in
        pixels of the square. Not modified.
    logits : ndarray of float32, shape (A,)
        Not modified.
    side : int
        Of the square, in pixels.

    Returns
    -------
    found : ndarray of float64, shape (N, 16)
        Left, top, right, bottom, six points x, y, of those anchors that are likely a face.
    probability : ndarray of float64, shape (N,)
    """
    probability = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -50, 50)))
    likely = probability >= LIKELY
    wide, at = raw[likely].astype(np.float64), anchors(side)[likely]
    centre, half = wide[:, :2] + at, wide[:, 2:4] / 2
    points = wide[:, 4:] + np.tile(at, KEYPOINTS)
    return np.concatenate([centre - half, centre + half, points], axis=1), probability[likely]


def _looked(part: NDArray[np.uint8], session: Session) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Show one part to the detector: boxes and points (N, 16) in the part's own pixels, and probabilities (N,)."""
    given = session.get_inputs()[0]
    side = int(given.shape[1])
    height, width = part.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    square = np.zeros((side, side, 3), np.uint8)
    square[: size[1], : size[0]] = cv2.resize(part, size, interpolation=_kernel(scale))
    answers = session.run(None, {given.name: square[None].astype(np.float32) / 127.5 - 1})
    raw = next(np.asarray(a)[0] for a in answers if np.asarray(a).shape[-1] == 4 + 2 * KEYPOINTS)
    logits = next(np.asarray(a)[0, :, 0] for a in answers if np.asarray(a).shape[-1] == 1)
    found, probability = decoded(raw, logits, side)
    return found * np.tile([width / size[0], height / size[1]], 2 + KEYPOINTS), probability


def _kernel(scale: float) -> int:
    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR


def _whole(
    found: NDArray[np.float64], tile: tuple[int, int, int, int], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Which faces are not cut by a tile's inner edge: a cut one lies whole in the neighbour."""
    x, y, w, h = tile
    margin = 0.01 * max(w, h)
    return (
        ((found[:, 0] > margin) | (x == 0))
        & ((found[:, 1] > margin) | (y == 0))
        & ((found[:, 2] < w - margin) | (x + w >= shape[1]))
        & ((found[:, 3] < h - margin) | (y + h >= shape[0]))
    )


def _merged(found: NDArray[np.float64], probability: NDArray[np.float64]) -> Iterator[Face]:
    """One face of all boxes that overlap with the likeliest one: their mean, weighed by probability."""
    left = np.argsort(-probability, kind="stable")
    while len(left):
        best = found[left[0], :4]
        near = _overlaps(best, found[left, :4]) > ALIKE
        near[0] = True
        weight = probability[left[near]]
        mean = (found[left[near]] * weight[:, None]).sum(axis=0) / weight.sum()
        x, y, right, bottom = (float(v) for v in mean[:4])
        if right > x and bottom > y:
            yield Face((x, y, right - x, bottom - y), float(weight.max()), mean[4:].reshape(-1, 2))
        left = left[~near]


def _overlaps(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of the smaller box is shared, where that is more than a half; else intersection over union.

    The share catches what a tile saw of a face that another one saw larger.
    """
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    shared = np.prod(np.maximum(0, high - low), axis=1)
    mine, theirs = np.prod(one[2:] - one[:2]), np.prod(others[:, 2:] - others[:, :2], axis=1)
    smaller = shared / np.maximum(np.minimum(mine, theirs), 1e-9)
    return np.asarray(np.where(smaller > 0.5, smaller, shared / np.maximum(mine + theirs - shared, 1e-9)))


def mesh(pixels: NDArray[np.uint8], face: Face, session: Session) -> Mesh:
    """Lay 468 points on a face.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        The picture that `face` was found in. Not modified.
    face : Face
    session : Session
        The mesh network, input (1, S, S, 3) float32 in 0 to 1, outputs of 1404 numbers and one logit.

    Returns
    -------
    mesh : Mesh
        `points` of shape (468, 3), in pixels of the picture.

    References
    ----------
    Y. Kartynnik, A. Ablavatski, I. Grishchenko, M. Grundmann, "Real-time Facial Surface Geometry from Monocular
    Video on Mobile GPUs", 2019.
    """
    given = session.get_inputs()[0]
    side = int(given.shape[1])
    there = _placed(face, side)
    back = cv2.invertAffineTransform(there)
    seen = _cut(np.ascontiguousarray(pixels), there, side)
    answers = session.run(None, {given.name: seen[None].astype(np.float32) / 255})
    points = next(np.asarray(a) for a in answers if np.asarray(a).size == 3 * 468).reshape(-1, 3)
    logit = next(float(np.asarray(a).ravel()[0]) for a in answers if np.asarray(a).size == 1)
    wide = points.astype(np.float64)
    flat = wide[:, :2] @ back[:, :2].T + back[:, 2]
    unit = float(np.hypot(*back[:, 0]))  # pixels of the picture per pixel of the square
    return Mesh(np.column_stack([flat, wide[:, 2] * unit]), 1 / (1 + float(np.exp(-np.clip(logit, -50, 50)))))


def _cut(pixels: NDArray[np.uint8], there: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Warp the face into the square, averaging first where it is much larger than that."""
    unit = float(np.hypot(*there[:, 0]))
    if unit < 0.5:
        small = cv2.resize(pixels, None, fx=2 * unit, fy=2 * unit, interpolation=cv2.INTER_AREA)
        back = np.array([pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]])
        there = np.column_stack([there[:, :2] * back, there[:, 2]])
        pixels = np.asarray(small, np.uint8)
    return np.asarray(cv2.warpAffine(pixels, there, (side, side), flags=cv2.INTER_LINEAR), np.uint8)


def _placed(face: Face, side: int) -> NDArray[np.float64]:
    """The (2, 3) map from the picture into the network's square: eyes level, the face in the middle."""
    right, left = face.keypoints[:2]
    angle = np.arctan2(left[1] - right[1], left[0] - right[0])
    scale = side / (MESH_ROOM * face.side)
    x, y, w, h = face.box
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    move = side / 2 - turn @ [x + w / 2, y + h / 2]
    return np.column_stack([turn, move]).astype(np.float64)
