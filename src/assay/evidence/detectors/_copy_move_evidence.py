"""What tells a copy from two places that merely look alike: measures of a match, and what each is worth.

A repeated texture agrees in outline and differs in its finest detail; a copy agrees in both, as far as its saves have left
any. So detail is compared again at the picture's own resolution, which the search for matches does without.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.evidence.detectors import _copy_move_agreement as agreement
from assay.evidence.detectors._copy_move_agreement import Match, Surface

Measures = tuple[float, ...]

NAMES = (
    "points",  # keypoints that agree on the map: logarithm
    "density",  # keypoints a pixel of the place: logarithm
    "area",  # share of the picture, of the smaller place: logarithm
    "rival",  # strength of the strongest match that contradicts this one
    "energy",  # variance of fine detail within the place: logarithm
    "detail",  # correlation of fine detail, as atanh
    "weakest",  # local correlation that a tenth of the place falls below
    "own_detail",  # the same at the picture's own resolution, and of the finest detail there
    "own_finest",
    "miss",  # grey levels by which the places differ: logarithm
    "own_miss",
    "own_miss_of_contrast",  # beside the contrast of the place
)
CORE = 5  # pixels: what lies nearer to the outline is left out, where a blend or an extension may be
FEWEST = 50  # pixels of a core that says anything
LARGEST = 512  # pixels: a place at its own resolution is cut down to a square of that side
LIMIT = 0.995  # of a correlation
LEAST = -8.0  # the score where nothing matches
SIZEABLE = 0.01  # of the picture: smaller places (digits, icons) count for less


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """A luma picture at its own resolution (H, W), and shrunk to where matches were sought."""

    own: NDArray[np.uint8]
    shrunk: Surface

    @property
    def zoom(self) -> float:
        return float(self.own.shape[1] / self.shrunk.grey.shape[1])


def measures(pictures: Pictures, match: Match, rival: float) -> Measures:
    """Measure a match in the order of `NAMES`; finite numbers, whatever the picture.

    Parameters
    ----------
    pictures : Pictures
        Of the sample.
    match : Match
        Places of the shrunken picture.
    rival : float
        Strength of the strongest match that contradicts it, or 0.
    """
    area = min(float(match.first.mean()), float(match.second.mean()))
    core = _core(match.first)
    shrunk = pictures.shrunk
    there = agreement.moved(shrunk.grey, match.affine)
    here, fine = shrunk.detail, there - _blurred(there, 2.0)
    own, own_there, own_core = _at_own_resolution(pictures, match, core)
    usual = _miss(own_there - own, own_core)
    return (
        math.log(match.points),
        math.log(match.points / max(1, int(match.first.sum()))),
        math.log(max(area, 1e-6)),
        rival,
        math.log(1 + _median(cv2.blur(here * here, (9, 9)), core)),
        _atanh(_correlated(here, fine, core)),
        _weakest(here, fine, core),
        _atanh(_correlated(own - _blurred(own, 2.0), own_there - _blurred(own_there, 2.0), own_core)),
        _atanh(_correlated(own - _blurred(own, 0.7), own_there - _blurred(own_there, 0.7), own_core)),
        math.log(1 + _miss(there - shrunk.grey, core)),
        math.log(1 + usual),
        math.log((1 + usual) / (1 + float(own[own_core].std() if own_core.any() else 0.0))),
    )


def _at_own_resolution(
    pictures: Pictures, match: Match, core: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """The first place, the second one laid over it, and which pixels count: each (h, w), at most LARGEST on a side."""
    zoom = pictures.zoom
    turn = match.affine[:, :2]
    half = np.full(2, 0.5)  # centres of pixels, not their corners, are what the maps carry
    shift = zoom * (match.affine[:, 2] + half - turn @ half) - (half - turn @ half)
    height, width = pictures.own.shape
    y, x = np.nonzero(core) if core.any() else np.nonzero(match.first)
    left, top = (_start(n, zoom, size) for n, size in ((x, width), (y, height)))
    right, bottom = (min(size, at + LARGEST, math.ceil((int(n.max()) + 1) * zoom)) for n, at, size in ((x, left, width), (y, top, height)))  # fmt: skip
    here = pictures.own[top:bottom, left:right].astype(np.float32)
    inner = cv2.resize(core.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    mask = inner[top:bottom, left:right] > 0
    # What the cut maps to, and some way around it: nothing more of a large picture is touched.
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]], float) @ turn.T + shift
    low = np.floor(np.clip(corners.min(axis=0) - 8, 0, (width - 2, height - 2))).astype(int)
    high = np.ceil(np.clip(corners.max(axis=0) + 8, low + 2, (width, height))).astype(int)
    other = Surface(pictures.own[low[1] : high[1], low[0] : high[0]].astype(np.float32))
    affine = np.column_stack([turn, turn @ (left, top) + shift - low])
    if mask.sum() >= FEWEST:
        affine = agreement.refined(Surface(here), affine, mask, other=other)
    size = (here.shape[1], here.shape[0])
    there = cv2.warpAffine(other.grey, affine, size, flags=agreement.INWARD, borderMode=cv2.BORDER_REPLICATE)
    return here, np.asarray(there, np.float32), mask


def _start(places: NDArray[np.intp], zoom: float, size: int) -> int:
    """Where a cut of at most LARGEST pixels begins, so that it lies about the middle of the places."""
    low, high = int(places.min()) * zoom, (int(places.max()) + 1) * zoom
    if high - low > LARGEST:
        low = float(np.median(places)) * zoom - LARGEST / 2
    return int(min(max(0.0, low), max(0, size - 1)))


def _core(place: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(cv2.erode(place.astype(np.uint8), np.ones((CORE, CORE), np.uint8)) > 0)


def _blurred(grey: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma), np.float32)


def _correlated(a: NDArray[np.float32], b: NDArray[np.float32], core: NDArray[np.bool_]) -> float:
    """Correlation within the core; strong edges must not speak for the whole."""
    if core.sum() < FEWEST:
        return 0.0
    a, b = (
        np.clip(v, -limit, limit) for v in (a[core], b[core]) for limit in (3 * np.median(np.abs(v)) + 1,)
    )
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))


def _weakest(a: NDArray[np.float32], b: NDArray[np.float32], core: NDArray[np.bool_]) -> float:
    if core.sum() < FEWEST:
        return 0.0
    powers = [cv2.blur(v * v, (9, 9)) + 1 for v in (a, b)]
    local = cv2.blur(a * b, (9, 9)) / np.sqrt(powers[0] * powers[1])
    return float(np.quantile(local[core], 0.1))


def _median(values: NDArray[np.float32], core: NDArray[np.bool_]) -> float:
    return float(np.median(values[core])) if core.any() else 0.0


def _miss(gap: NDArray[np.float32], core: NDArray[np.bool_]) -> float:
    """Deviation of a difference from its median, each pixel counting at most 20 grey levels."""
    if core.sum() < FEWEST:
        return 20.0
    inside = gap[core].astype(np.float64)
    return float(np.sqrt(np.minimum((inside - np.median(inside)) ** 2, 400).mean()))


def _atanh(value: float) -> float:
    return math.atanh(min(max(value, 0.0), LIMIT))


@dataclass(frozen=True, slots=True)
class Weights:
    """A linear discriminant over `NAMES`, and what photographs did not teach it: small places and patterns."""

    of: tuple[float, ...]
    bias: float

    def linear(self, measured: Sequence[float]) -> float:
        """The discriminant: over 0 for what looks more like a copy than like a likeness."""
        return self.bias + math.fsum(w * m for w, m in zip(self.of, measured, strict=True))

    def score(self, measured: Sequence[float]) -> float:
        """The discriminant, brought down to `LEAST` where a place is small, or a rival as strong as the match.

        Digits and icons agree to the letter; where a place resembles a third one as well, it belongs to a pattern.
        """
        named = dict(zip(NAMES, measured, strict=True))
        size = min(1.0, math.exp(named["area"]) / SIZEABLE)
        strength = size * math.exp(named["points"] / 2) * named["detail"]
        alone = 1 - min(1.0, named["rival"] / max(strength, 1e-9))
        return LEAST + max(0.0, self.linear(measured) - LEAST) * size * alone


@cache
def shipped() -> Weights:
    """The weights that lie in the package, by `tools/train/copy_move.py`."""
    stored = json.loads((resources.files("assay.evidence.weights") / "copy_move.json").read_text("utf-8"))
    return Weights(tuple(float(stored["weights"][name]) for name in NAMES), float(stored["bias"]))
