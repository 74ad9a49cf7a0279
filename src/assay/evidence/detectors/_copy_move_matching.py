"""Which places of a picture look alike? Keypoints, matches among them, and the similarities that many of them share."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 10  # the picture is divided into CELLS x CELLS fields ...
PER_CELL = 30  # ... of which each keeps its strongest keypoints, so that a hedge does not outvote a wall
NEAREST = 20.0  # pixels: a keypoint's neighbours overlap its patch and are alike anyway
WORST = 250.0  # distance of two SIFT descriptors, whose norm is 512
RATIO = 0.9  # to the next best elsewhere
FEWEST = 3  # matches that agree on a similarity
MOST = 6  # hypotheses
REACH = 0.3  # of the diagonal: how far from a match its own similarity predicts others
NARROW = 2.5  # pixels: tolerance of the fitted transform


@dataclass(frozen=True, slots=True)
class Points:
    """Keypoints: places and shapes as complex numbers (x + iy; size times direction), descriptors (N, 128)."""

    places: NDArray[np.complex128]
    shapes: NDArray[np.complex128]
    descriptors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """An affine map (2, 3) that carries places to places alike, and the matches that agree on it."""

    affine: NDArray[np.float64]
    from_places: NDArray[np.complex128]


def keypoints(grey: NDArray[np.uint8]) -> Points:
    """SIFT keypoints of a grey picture (H, W), spread over it."""
    cv2.setNumThreads(1)  # an examiner must not start threads
    sift = cv2.SIFT.create(nfeatures=0, nOctaveLayers=3, contrastThreshold=0.003, edgeThreshold=15)
    found, descriptors = sift.detectAndCompute(grey, None)
    if not found:
        return Points(np.empty(0, complex), np.empty(0, complex), np.empty((0, 128), np.float32))
    places = np.array([complex(*k.pt) for k in found])
    shapes = np.array([k.size * np.exp(1j * np.deg2rad(k.angle)) for k in found])
    strengths = np.array([k.response for k in found])
    height, width = grey.shape
    cells = (places.imag * CELLS // height).astype(int) * CELLS + (places.real * CELLS // width).astype(int)
    order = np.lexsort((places.real, places.imag, -strengths, cells))
    starts = np.searchsorted(cells[order], cells[order])
    kept = order[np.arange(len(order)) - starts < PER_CELL]
    return Points(places[kept], shapes[kept], descriptors[kept])


def matched(points: Points) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (i, j) of keypoints alike, both ways round."""
    count = len(points.places)
    if count < 2 * FEWEST:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    # Descriptors hold whole numbers, so their products are exact in float32 whatever the order of the sums.
    norms = (points.descriptors**2).sum(axis=1)
    best, first, second = np.empty(count, np.intp), np.empty(count), np.empty(count)
    for start in range(0, count, 512):
        part = slice(start, min(start + 512, count))
        squares = norms[part, None] + norms - 2 * (points.descriptors[part] @ points.descriptors.T)
        squares[_near(points.places[part], points.places)] = np.inf
        rows = np.arange(squares.shape[0])
        best[part] = squares.argmin(axis=1)
        first[part] = squares[rows, best[part]]
        squares[_near(points.places[best[part]], points.places)] = np.inf
        second[part] = squares.min(axis=1)
    good = (first < WORST**2) & (first < RATIO**2 * second)
    left = np.nonzero(good)[0]
    pairs = np.unique(
        np.concatenate([np.stack([left, best[left]]), np.stack([best[left], left])], axis=1), axis=1
    )
    return pairs[0], pairs[1]


def _near(some: NDArray[np.complex128], every: NDArray[np.complex128]) -> NDArray[np.bool_]:
    """Which of all keypoints lie in a box around some of them? (M, N)"""
    x, y = every.real.astype(np.float32), every.imag.astype(np.float32)
    dx, dy = x - some.real.astype(np.float32)[:, None], y - some.imag.astype(np.float32)[:, None]
    return np.asarray((np.abs(dx, out=dx) < NEAREST) & (np.abs(dy, out=dy) < NEAREST))


def hypotheses(
    points: Points, left: NDArray[np.intp], right: NDArray[np.intp], diagonal: float
) -> list[Hypothesis]:
    """The maps on which most matches agree, one after the other; a map and its inverse count as one."""
    p, q = points.places[left], points.places[right]
    turns = points.shapes[right] / points.shapes[left]
    alive = (np.abs(turns) > 0.45) & (np.abs(turns) < 2.2)
    p, q, turns, left, right = p[alive], q[alive], turns[alive], left[alive], right[alive]
    votes = _votes(p, q, turns, REACH * diagonal)
    found: list[Hypothesis] = []
    while len(found) < MOST and len(p):
        counts = votes.sum(axis=1)
        seed = int(counts.argmax())
        if counts[seed] < FEWEST:
            break
        inliers = votes[seed]
        affine = _fitted(p[inliers], q[inliers])
        for _ in range(4):
            wide = np.abs(_applied(affine, p) - q) < NARROW
            near = np.abs(p - p[inliers].mean()) < REACH * diagonal + 1
            if (wide & near).sum() < FEWEST:
                break
            inliers = wide & near
            affine = _fitted(p[inliers], q[inliers])
        if inliers.sum() >= FEWEST and 0.4 < abs(np.linalg.det(affine[:, :2])) ** 0.5 < 2.5:
            found.append(Hypothesis(affine, p[inliers]))
        used = inliers | votes[seed]
        gone = set(zip(right[used].tolist(), left[used].tolist(), strict=True))
        rest = ~used & np.array(
            [(a, b) not in gone for a, b in zip(left.tolist(), right.tolist(), strict=True)]
        )
        p, q, left, right = p[rest], q[rest], left[rest], right[rest]
        votes = votes[np.ix_(rest, rest)]
    return found


def _votes(
    p: NDArray[np.complex128], q: NDArray[np.complex128], turns: NDArray[np.complex128], reach: float
) -> NDArray[np.bool_]:
    """Whose similarity (row) predicts whose match (column)?"""
    p, q, turns = p.astype(np.complex64), q.astype(np.complex64), turns.astype(np.complex64)
    apart = p[None, :] - p[:, None]
    misses = np.abs(turns[:, None] * apart + (q[:, None] - q[None, :]))
    distance = np.abs(apart)
    unlike = np.abs(turns[None, :] - turns[:, None]) / np.abs(turns)[:, None]
    return np.asarray((misses < 3 + 0.12 * distance) & (distance < reach) & (unlike < 0.45))


def _fitted(p: NDArray[np.complex128], q: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Least squares: a similarity of few matches, an affine map of many that spread in both directions."""
    a, b = p - p.mean(), q - q.mean()
    spread = np.linalg.eigvalsh(np.cov(np.stack([a.real, a.imag]))) if len(p) >= 8 else np.zeros(2)
    if spread[0] > 150:
        x = np.stack([p.real, p.imag, np.ones(len(p))], axis=1)
        return np.linalg.lstsq(x, np.stack([q.real, q.imag], axis=1), rcond=None)[0].T
    turn = (b * a.conj()).sum() / max((np.abs(a) ** 2).sum(), 1e-9)
    shift = q.mean() - turn * p.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _applied(affine: NDArray[np.float64], p: NDArray[np.complex128]) -> NDArray[np.complex128]:
    moved = affine[:, :2] @ np.stack([p.real, p.imag]) + affine[:, 2:]
    places: NDArray[np.complex128] = moved[0] + 1j * moved[1]
    return places
