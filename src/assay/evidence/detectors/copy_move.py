"""Places of a picture that were copied from another place of the same picture, turned and scaled or not.

Keypoints alike vote for the similarities that map one place to another; each such map is then tested pixel by pixel:
the picture, moved by it, must agree with itself down to its fine detail over a connected place. Repeated texture
(windows, bricks, leaves) maps onto itself in outline, and differs in detail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.detectors import _copy_move_agreement as agreement
from assay.evidence.detectors import _copy_move_direction as direction
from assay.evidence.detectors import _copy_move_evidence as evidence
from assay.evidence.detectors import _copy_move_matching as matching
from assay.evidence.detectors._copy_move_agreement import Match
from assay.media.views import Image, upright
from assay.types import Finding, Kind, Outcome, Reason, Region

SMALLEST = 64  # pixels on the shorter side
FEWEST_POINTS = 12
WORKED = 400_000  # pixels: larger pictures are shrunk to this size
LEAST, LARGEST = 0.003, 0.4  # of the picture: a place that is smaller or larger is not a copy that we know
SHARED = 0.3  # of the smaller one of two matches' places: more, and they lie on each other
FOUND = 0.0  # a score that honest pictures hardly reach; see docs/detectors/copy_move.md
EDGE, LOST = 4.0, 2.0  # weights of what tells a copy from its original
UNDECIDED = 0.2  # of their sum: below it both places are reported
MOST = 3  # matches that are reported
MOST_POINTS = 64


class CopyMove:
    card: ClassVar[Card] = Card(
        name="copy_move",
        version=2,
        reads=Image,
        family="copies",
        claims=frozenset({Kind.COPY_MOVE}),
        summary="Places that were copied from another place of the same picture, turned or scaled or not",
        source="https://doi.org/10.1109/TIFS.2011.2129512",
        licence="Apache-2.0",
    )

    def __init__(self, weights: evidence.Weights | None = None) -> None:
        self._weights = weights or evidence.shipped()

    def examine(self, view: Image, /) -> Finding:
        height, width = view.coded.shape[:2]
        if min(height, width) < SMALLEST:
            return Finding.not_applicable(
                "too_small", f"A side is under {SMALLEST} pixels: too little to compare within the picture."
            )
        picture = luma(view.coded)
        grey = _worked(picture)
        points = matching.keypoints(grey)
        if len(points.places) < FEWEST_POINTS:
            return Finding.not_applicable(
                "no_detail", "The picture is flat or blurred: no places stand out that could be compared."
            )
        weighed = [(self._weights.score(m), match) for match, m in measured(picture, grey, points)]
        scored = sorted(weighed, key=lambda pair: -pair[0])
        score = max((s for s, _ in scored), default=evidence.LEAST)
        found = [(s, decided(m, picture, grey)) for s, m in scored if s >= FOUND][:MOST]
        return Finding(
            Outcome.SCORED,
            score=score,
            reasons=(_reason([m for _, m in found]),),
            regions=tuple(r for s, m in found for r in _regions(m, s, view)),
            heat=_heat([m for _, m in found], view.orientation) if found else None,
        )


def matched(grey: NDArray[np.uint8], points: matching.Points) -> list[Match]:
    """Pairs of places of a picture that agree."""
    left, right = matching.matched(points)
    surface = agreement.Surface(grey.astype(np.float32))
    found = []
    for guess in matching.hypotheses(points, left, right, math.hypot(*grey.shape)):
        match = agreement.tested(surface, guess.affine, guess.from_places)
        if match is not None and LEAST <= match.first.mean() <= LARGEST:
            found.append(match)
    return found


def strength(match: Match) -> float:
    """How much a match speaks for a copy: detail that agrees, at many points, over a place of some size."""
    size = min(
        1.0, float(match.first.mean()) / evidence.SIZEABLE, float(match.second.mean()) / evidence.SIZEABLE
    )
    return size * math.sqrt(match.points) * math.atanh(min(max(match.agreement, 0.0), 0.999))


def measured(
    picture: NDArray[np.uint8], grey: NDArray[np.uint8] | None = None, points: matching.Points | None = None
) -> list[tuple[Match, evidence.Measures]]:
    """All matches of a luma picture (H, W), with what tells a copy from a likeness; see `luma`."""
    grey = _worked(picture) if grey is None else grey
    points = matching.keypoints(grey) if points is None else points
    if len(points.places) < FEWEST_POINTS:
        return []
    matches = matched(grey, points)
    pictures = evidence.Pictures(picture, agreement.Surface(grey.astype(np.float32)))
    return [(m, evidence.measures(pictures, m, rival(m, matches))) for m in matches]


def rival(match: Match, others: Sequence[Match]) -> float:
    """The strength of a match's strongest rival, or 0.

    Where a place resembles a third one as well, it belongs to a pattern: a copy has one original.
    """
    return max((strength(o) for o in others if o is not match and _rivals(match, o)), default=0.0)


def _rivals(match: Match, other: Match) -> bool:
    """Do two matches share a place, and lead from it to different ones?"""
    mine, its = (m.first | m.second for m in (match, other))
    if (mine & its).sum() < SHARED * min(mine.sum(), its.sum()):
        return False
    y, x = (float(np.median(n)) for n in np.nonzero(match.first))
    there = match.affine @ (x, y, 1)
    back = cv2.invertAffineTransform(other.affine)
    misses = [float(np.abs(a @ (x, y, 1) - there).max()) for a in (other.affine, back)]
    return min(misses) > 0.25 * math.sqrt(float(match.first.sum()))


def decided(match: Match, picture: NDArray[np.uint8], grey: NDArray[np.uint8]) -> Match:
    """Say which of the two places is the copy, where that shows; `grey` is the shrunk picture."""
    zoom = picture.shape[1] / grey.shape[1]
    edge = direction.outline_contrast(grey.astype(np.float32), match.affine, match.first)
    lost = direction.detail_lost(picture, match.affine, match.first, zoom)
    leaning = EDGE * edge + LOST * lost
    if abs(leaning) < UNDECIDED:
        return match
    return replace(match, suspects=(match.second,) if leaning > 0 else (match.first,))


def luma(coded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma (H, W) of a picture (H, W, 3)."""
    cv2.setNumThreads(1)  # an examiner must not start threads
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(coded), cv2.COLOR_RGB2GRAY), np.uint8)


def _worked(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey picture, shrunk to at most WORKED pixels."""
    height, width = grey.shape
    scale = min(1.0, math.sqrt(WORKED / (height * width)))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8)


def _reason(found: list[Match]) -> Reason:
    if not found:
        return Reason("copies_none", "No place of the picture agrees with another one in its fine detail.")
    pair = found[0].affine[:, :2]
    turn = math.degrees(math.atan2(pair[1, 0] - pair[0, 1], pair[0, 0] + pair[1, 1]))
    scale = math.sqrt(abs(float(np.linalg.det(pair))))
    share = 100 * min(float(found[0].first.mean()), float(found[0].second.mean()))
    text = (
        f"Two places agree in their fine detail, as a copy and its origin do: {share:.1f} % of the picture each, "
        f"turned by {abs(turn):.0f} degrees, scaled by {max(scale, 1 / scale):.2f}."
    )
    return Reason("copy_found", text)


def _regions(match: Match, score: float, view: Image) -> list[Region]:
    """The outlines of a match's places, upright."""
    tall, wide = view.upright.shape[:2]
    found = []
    for mask in match.suspects:
        turned = np.ascontiguousarray(upright(mask.astype(np.uint8), view.orientation))
        zoom = np.array([wide / turned.shape[1], tall / turned.shape[0]])
        for points in _outlines(turned):
            placed = np.clip((points + 0.5) * zoom, 0, (wide, tall))
            corners = tuple((float(x), float(y)) for x, y in placed)
            found.append(Region(corners, wide, tall, score=score))
    return found


def _outlines(mask: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Outer outlines of the larger parts of a mask, each (N, 2), at most MOST_POINTS points."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    least = 0.1 * float(mask.sum())
    found = []
    for contour in contours:
        if cv2.contourArea(contour) < least or len(contour) < 3:
            continue
        tolerance = 0.7
        thinned = cv2.approxPolyDP(contour, tolerance, closed=True)
        while len(thinned) > MOST_POINTS:
            tolerance *= 1.4
            thinned = cv2.approxPolyDP(contour, tolerance, closed=True)
        if len(thinned) >= 3:
            found.append(thinned[:, 0].astype(np.float64))
    return found


def _heat(found: list[Match], orientation: int) -> NDArray[np.uint8]:
    """All places of all matches, upright, thinned to at most 512 on a side."""
    cells = np.maximum.reduce([np.maximum(m.first, m.second) for m in found]).astype(np.uint8) * np.uint8(128)
    for match in found:
        for mask in match.suspects:
            cells[mask] = 255
    step = -(-max(cells.shape) // 512)
    return np.ascontiguousarray(upright(cells[::step, ::step], orientation))
