"""What an earlier quantisation would have left in DCT coefficients: probabilities, and a map of likelihood ratios.

The magnitude of a coefficient is modelled by a Lomax law whose scale comes from its place (blocks cut 4 pixels off the
grid), so that texture, flat parts and edges are each judged by their own law.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from assay.evidence.kernels.doubles import BASIS
from assay.media.compiled import compiled

Array = NDArray[np.float64]
MOST = 32  # greatest magnitude that is looked at, in quantisation steps
COARSEST = 32  # greatest earlier step that is looked for
# Classes of the local scale, in units of an orthonormal DCT; geometric, from flat to strong texture.
EDGES = np.geomspace(0.5, 60.0, 11)
MIDDLES = np.geomspace(0.4, 75.0, 12)
CLASSES = len(MIDDLES)
# Fitted by likelihood to coefficients of 11 photographs, shrunk and saved once at quality 85.
SPREAD, SHAPE, FLOOR = 8.0, 10.0, 1.0
ROUNDING = 0.4  # standard deviation that rounding to 8 bits between two saves leaves in a coefficient
TRUST = 0.9  # share of coefficients that follow the model of two saves
DARK = 8.0  # levels from black or white
PRIOR = 20.0  # coefficients that the model's own law counts for, beside those that were seen
# The first 35 frequencies after the mean, diagonal by diagonal: (vertical, horizontal).
FREQUENCIES = np.array(sorted(((v, u) for v in range(8) for u in range(8)), key=sum)[1:36], np.int64)
_MAGNITUDES: Array = np.arange(1.0, MOST + 1.0)
_LOG = np.log(_MAGNITUDES)
_COSINES = np.stack([np.outer(BASIS[v], BASIS[u]).ravel() for v, u in FREQUENCIES], axis=1)


def classes(grey: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.int64]:
    """The class of each coefficient's local scale, from the four blocks that overlap its own half-way.

    Parameters
    ----------
    grey : ndarray of uint8, shape (H, W), sides of at least 16
        Luma. Not modified.
    rows, columns : int
        Blocks on the grid.

    Returns
    -------
    classes : ndarray of int64, shape (rows, columns, F)
    """
    high, wide = min(rows, (grey.shape[0] - 4) // 8), min(columns, (grey.shape[1] - 4) // 8)
    part = grey[4 : 4 + 8 * high, 4 : 4 + 8 * wide].astype(np.float32) - np.float32(128)
    blocks = part.reshape(high, 8, wide, 8).transpose(0, 2, 1, 3).reshape(high, wide, 64)
    inner = np.abs(blocks @ _COSINES)
    padded = np.pad(inner, ((1, rows - high + 1), (1, columns - wide + 1), (0, 0)), mode="edge")
    padded = padded[: rows + 1, : columns + 1]
    scale = (padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]) / 4
    found: NDArray[np.int64] = np.searchsorted(EDGES, scale)
    return found


@lru_cache(maxsize=512)
def once(step: int, gain: float) -> Array:
    """Probability of each magnitude 1 to `MOST` among those that are not zero, after one save: (CLASSES, MOST)."""
    mass = _tail((_MAGNITUDES - 0.5) * step, gain) - _tail((_MAGNITUDES + 0.5) * step, gain)
    law: Array = mass / mass.sum(axis=1, keepdims=True)
    return law


@lru_cache(maxsize=4096)
def twice(first: int, step: int, gain: float) -> Array:
    """The same after a save with the step `first` on the same grid, and then one with `step`."""
    teeth: Array = np.arange(int((MOST + 1) * step / first) + 2, dtype=np.float64)
    lower = np.where(teeth == 0, 1.0, _tail((teeth - 0.5) * first, gain))
    mass = lower - _tail((teeth + 0.5) * first, gain)
    places: Array = (teeth * float(first))[:, None]
    moved = _normal((_MAGNITUDES + 0.5) * step - places) - _normal((_MAGNITUDES - 0.5) * step - places)
    reached = mass @ moved + 1e-12
    law: Array = TRUST * reached / reached.sum(axis=1, keepdims=True) + (1 - TRUST) * once(step, gain)
    return law


def ratios(counts: NDArray[np.int64], first: int, step: int, gain: float) -> tuple[Array, Array]:
    """Log-likelihood ratio of one save against two, by class and magnitude, that no slow misfit can feed.

    Parameters
    ----------
    counts : ndarray of int64, shape (CLASSES, MOST)
        What the picture shows of one frequency. Not modified.
    first, step : int
        The earlier and the last quantisation step of the frequency.
    gain : float
        Of the scale.

    Returns
    -------
    table : ndarray of float64, shape (CLASSES, MOST)
        In nats. What a constant and a slope in log(magnitude) explain is taken out, class by class, under the
        distribution that was seen: the comb remains. The mean is set to minus half the variance, as of a
        Gaussian log-likelihood ratio, so that it sinks on average where two saves were made.
    variance : ndarray of float64, shape (CLASSES,)
        Of one coefficient's ratio: what it can say.
    """
    single, double = once(step, gain), twice(first, step, gain)
    table = np.log((single + 1e-9) / (double + 1e-9))
    weights = counts + PRIOR * double
    weights = weights / weights.sum(axis=1, keepdims=True)
    slope = _LOG - (weights @ _LOG)[:, None]
    centred = table - (weights * table).sum(axis=1, keepdims=True)
    steepness = (weights * slope * centred).sum(axis=1) / ((weights * slope**2).sum(axis=1) + 1e-6)
    rest = centred - steepness[:, None] * slope
    variance = (weights * rest**2).sum(axis=1)
    return rest - variance[:, None] / 2, variance


def tally(magnitudes: NDArray[np.int64], strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count magnitudes (1 to `MOST`) by class: two arrays (N,) to (CLASSES, MOST)."""
    flat = np.bincount(strata * MOST + magnitudes - 1, minlength=CLASSES * MOST)
    return flat.reshape(CLASSES, MOST)


def _tail(x: Array, gain: float) -> Array:
    """P(magnitude > x) for each class: (CLASSES, len(x))."""
    scale = SPREAD * (MIDDLES + FLOOR) * gain
    reached: Array = (1 + np.maximum(x, 0)[None, :] / scale[:, None]) ** -SHAPE
    return reached


def _normal(z: Array) -> Array:
    """Distribution function of the rounding noise, by the logistic approximation (within .01)."""
    curve: Array = 1 / (1 + np.exp(-1.702 * np.clip(z / ROUNDING, -30, 30)))
    return curve


@compiled("float32[:, ::1](Array(uint8, 3, 'C', True), int64, int64)")
def saturation(rgb: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.float32]:
    """How far the most saturated 2 x 2 pixels of each block are from grey, of the way to a clipped channel: (rows, columns).

    A filter that fades a picture hides where a channel was clipped, and there an earlier save's ghost is gone; but what was
    clipped is still the most saturated. Within `DARK` levels of black and white rounding would feign saturation.
    """
    out = np.zeros((rows, columns), np.float32)
    for y in range(min(rgb.shape[0] // 2, rows * 4)):
        for x in range(min(rgb.shape[1] // 2, columns * 4)):
            red, green, blue = 0.0, 0.0, 0.0
            for v in range(2 * y, 2 * y + 2):
                for u in range(2 * x, 2 * x + 2):
                    red += rgb[v, u, 0] / 4
                    green += rgb[v, u, 1] / 4
                    blue += rgb[v, u, 2] / 4
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            over = (max(red, green, blue) - luma) / max(255 - luma, DARK)
            under = (luma - min(red, green, blue)) / max(luma, DARK)
            share = np.float32(max(over, under))
            out[y >> 2, x >> 2] = max(out[y >> 2, x >> 2], share)
    return out
