"""Do two places agree pixel by pixel? A picture against itself, moved by an affine map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

WINDOW = 11  # pixels, of local correlation
BAND = 4.0  # pixels: slower variation is taken away
FLAT = 2.0  # squared grey levels: less variance than this says little
ALIKE = 0.75  # local correlation of a core
NEARLY = 0.55  # and of what is joined to it
FEWEST = 100  # pixels of a place
HOPEFUL = 0.3  # agreement around the keypoints: below it a guess is not followed
REACH = 24  # pixels that a place may gain where the picture is smooth
INWARD = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


@dataclass(frozen=True, slots=True)
class Match:
    """Two places of a picture that agree, as masks (H, W), and how well."""

    affine: NDArray[np.float64]  # carries the first place to the second
    first: NDArray[np.bool_]
    second: NDArray[np.bool_]
    agreement: float  # correlation of fine detail, pooled over the place
    points: int  # keypoints that agree on the map
    suspects: tuple[NDArray[np.bool_], ...]  # which of the places is the copy; both, where that is undecided


class Surface:
    """A grey picture (H, W) and what every guess wants of it, each computed once."""

    def __init__(self, grey: NDArray[np.float32]) -> None:
        self.grey = grey

    @cached_property
    def blurred(self) -> Surface:
        """What a first guess, some pixels off, is refined on."""
        return Surface(np.asarray(cv2.GaussianBlur(self.grey, (0, 0), 2.0), np.float32))

    @cached_property
    def detail(self) -> NDArray[np.float32]:
        return self.grey - self.blurred.grey

    @cached_property
    def band(self) -> NDArray[np.float32]:
        """What varies within a window: light that falls off slowly agrees with itself nearly everywhere."""
        return np.asarray(self.grey - cv2.GaussianBlur(self.grey, (0, 0), BAND), np.float32)

    @cached_property
    def slopes(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        smooth = cv2.GaussianBlur(self.grey, (0, 0), 0.8)
        gx, gy = (cv2.Scharr(smooth, cv2.CV_32F, *axes) / 32 for axes in ((1, 0), (0, 1)))
        return gx, gy

    @cached_property
    def spread(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean of the band in each window, and its standard deviation, never quite 0."""
        return _spread(self.band)


def tested(surface: Surface, affine: NDArray[np.float64], seeds: NDArray[np.complex128]) -> Match | None:
    """Follow a guess: the places around `seeds` that agree, and how well; None where nothing does."""
    around = _around(seeds, surface.grey.shape)
    affine = refined(surface.blurred, affine, around)
    affine = refined(surface, affine, around)
    if not _sane(affine) or detail_agreement(surface, affine, around) < HOPEFUL:
        return None
    first = grown(surface, affine, seeds)
    if first.sum() < FEWEST:
        return None
    affine = refined(surface, affine, first)
    if not _sane(affine):
        return None
    first = grown(surface, affine, seeds)
    if first.sum() < FEWEST:
        return None
    agrees = detail_agreement(surface, affine, first)
    first = extended(surface.grey, affine, first)
    size = (first.shape[1], first.shape[0])
    second = np.asarray(cv2.warpAffine(first.astype(np.uint8), affine, size) > 0)
    return Match(affine, first, second, agrees, len(seeds), (first, second))


def moved(grey: NDArray[np.float32], affine: NDArray[np.float64]) -> NDArray[np.float32]:
    """What lies where the map leads: out(x) = grey(affine x), NaN-free, (H, W)."""
    height, width = grey.shape
    out = cv2.warpAffine(grey, affine, (width, height), flags=INWARD, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.float32)


def inside(shape: tuple[int, int], affine: NDArray[np.float64], *, margin: float = 1) -> NDArray[np.bool_]:
    """From where does the map lead into the picture, and some way off?"""
    height, width = shape
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    affine = affine.astype(np.float32)
    u = affine[0, 0] * x + affine[0, 1] * y + affine[0, 2]
    v = affine[1, 0] * x + affine[1, 1] * y + affine[1, 2]
    away = (u - x) ** 2 + (v - y) ** 2 > (1.5 * WINDOW) ** 2
    return np.asarray(
        (u >= margin) & (v >= margin) & (u < width - 1 - margin) & (v < height - 1 - margin) & away
    )


def correlation(surface: Surface, other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Local correlation of a surface's band with another (H, W), near 0 where both are flat."""
    mean, deviation = surface.spread
    there, its = _spread(other)
    shared = cv2.blur(surface.band * other, (WINDOW, WINDOW)) - mean * there
    return np.asarray(shared / (deviation * its))


def _spread(band: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    mean = cv2.blur(band, (WINDOW, WINDOW))
    variance = cv2.blur(band * band, (WINDOW, WINDOW)) - mean * mean
    return mean, np.sqrt(np.maximum(variance, 0) + FLAT)


def grown(surface: Surface, affine: NDArray[np.float64], seeds: NDArray[np.complex128]) -> NDArray[np.bool_]:
    """The connected place around `seeds` in which the picture and its moved self correlate."""
    height, width = surface.grey.shape
    corr = correlation(surface, moved(surface.band, affine))
    allowed = inside((height, width), affine)
    core = ((corr > ALIKE) & allowed).astype(np.uint8)
    core = cv2.morphologyEx(core, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    joined = cv2.morphologyEx(((corr > NEARLY) & allowed).astype(np.uint8), cv2.MORPH_CLOSE, _disc(3))
    joined = cv2.morphologyEx(joined, cv2.MORPH_OPEN, _disc(2))
    _, labels = cv2.connectedComponents(joined)
    x = np.clip(seeds.real.round().astype(int), 0, width - 1)
    y = np.clip(seeds.imag.round().astype(int), 0, height - 1)
    at_seeds = np.bincount(labels[y, x], minlength=int(labels.max()) + 1)
    in_core = np.bincount(labels.ravel(), weights=core.ravel(), minlength=len(at_seeds))
    good = (at_seeds > 0) & (in_core > 60)
    good[0] = False
    return filled(good[labels])


def extended(
    grey: NDArray[np.float32], affine: NDArray[np.float64], mask: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """A place with the smooth parts around it that differ as little as it does; within REACH pixels."""
    other = moved(grey, affine)
    a, b = grey[mask].astype(np.float64), other[mask].astype(np.float64)
    gain = float(np.cov(a, b)[0, 1] / max(a.var(), 1.0))
    miss = other - np.float32(gain) * grey - np.float32(b.mean() - gain * a.mean())
    usual = max(1.5, float(np.sqrt(np.minimum(miss[mask] ** 2, 400).mean())))
    calm = cv2.blur(miss * miss, (7, 7)) < (1.5 * usual) ** 2
    near = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3) <= REACH
    joined = mask | (calm & near & inside((grey.shape[0], grey.shape[1]), affine))
    _, labels = cv2.connectedComponents(cv2.morphologyEx(joined.astype(np.uint8), cv2.MORPH_OPEN, _disc(3)))
    mine = np.zeros(int(labels.max()) + 1, bool)
    mine[labels[mask]] = True
    mine[0] = False
    return filled(mine[labels] | mask)


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask with its gaps closed: flat parts inside of a place say nothing and belong to it."""
    closed = np.pad(mask.astype(np.uint8), 8)
    closed = cv2.morphologyEx(closed, cv2.MORPH_CLOSE, _disc(6))[8:-8, 8:-8]
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(closed), contours, -1, 1, cv2.FILLED) > 0)


def refined(
    surface: Surface,
    affine: NDArray[np.float64],
    mask: NDArray[np.bool_],
    *,
    other: Surface | None = None,
    rounds: int = 5,
) -> NDArray[np.float64]:
    """Gauss-Newton on the grey levels within `mask`: the map that explains them best, whatever gain and bias.

    It leads into `other`, which is the surface itself by default.
    """
    into = other or surface
    y, x = np.nonzero(mask)
    if len(x) > 12000:
        step = len(x) // 12000 + 1
        x, y = x[::step], y[::step]
    centre = np.array([x.mean(), y.mean()])
    dx, dy = (x - centre[0]) / 50, (y - centre[1]) / 50  # of similar size as the other parameters
    target = surface.grey[y, x].astype(np.float64)
    pictures = (into.grey, *into.slopes)
    affine, gain, bias = affine.copy(), 1.0, 0.0
    for _ in range(rounds):
        u = (affine[0, 0] * x + affine[0, 1] * y + affine[0, 2]).astype(np.float32)
        v = (affine[1, 0] * x + affine[1, 1] * y + affine[1, 2]).astype(np.float32)
        value, hx, hy = (_at(a, u, v) for a in pictures)
        columns = [hx, hy, hx * dx, hx * dy, hy * dx, hy * dy, -target, -np.ones_like(target)]
        rows = np.stack(columns, axis=1)
        # value + gradient * step = gain * target + bias, outliers weighed down
        miss = value - gain * target - bias
        weight = 1 / (1 + (miss / (2 * np.median(np.abs(miss)) + 1)) ** 2)
        normal = rows.T @ (rows * weight[:, None]) + 1e-6 * np.eye(8)
        step8 = np.linalg.solve(normal + 1e-3 * np.eye(8), rows.T @ (-value * weight))
        gain, bias = float(step8[6]), float(step8[7])
        shift = np.clip(step8[:6], -2, 2)
        affine[0, 0] += shift[2] / 50
        affine[0, 1] += shift[3] / 50
        affine[1, 0] += shift[4] / 50
        affine[1, 1] += shift[5] / 50
        affine[0, 2] += shift[0] - (shift[2] * centre[0] + shift[3] * centre[1]) / 50
        affine[1, 2] += shift[1] - (shift[4] * centre[0] + shift[5] * centre[1]) / 50
        if np.abs(shift).max() < 0.02:
            break
    return affine


def detail_agreement(surface: Surface, affine: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    """Correlation of fine detail (what a blur of 2 pixels takes away), pooled over `mask`."""
    other = moved(surface.grey, affine)
    a = surface.detail[mask]
    b = (other - cv2.GaussianBlur(other, (0, 0), 2.0))[mask]
    # Strong edges must not speak for the whole.
    limit_a, limit_b = 3 * np.median(np.abs(a)) + 1, 3 * np.median(np.abs(b)) + 1
    a, b = np.clip(a, -limit_a, limit_a), np.clip(b, -limit_b, limit_b)
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))


def _around(seeds: NDArray[np.complex128], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Squares around keypoints, where a guess is first tried."""
    mask = np.zeros(shape, np.uint8)
    for p in seeds[:200]:
        x, y = round(p.real), round(p.imag)
        mask[max(0, y - 7) : y + 8, max(0, x - 7) : x + 8] = 1
    return mask > 0


def _sane(affine: NDArray[np.float64]) -> bool:
    """Near a similarity of moderate scale: what leads elsewhere went astray."""
    if not np.isfinite(affine).all():
        return False
    strong, weak = np.linalg.svd(affine[:, :2], compute_uv=False)
    return bool(weak > 0.4 and strong < 2.5 and strong < 1.35 * weak)


def _at(picture: NDArray[np.float32], u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float64]:
    """Values at fractional places (N,)."""
    width = 4096  # remap wants fewer than 32768 columns
    rows = -(-len(u) // width)
    pad = rows * width - len(u)
    mapped = [np.pad(a, (0, pad)).reshape(rows, width) for a in (u, v)]
    out = cv2.remap(picture, mapped[0], mapped[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.float64).ravel()[: len(u)]


def _disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8
    )
