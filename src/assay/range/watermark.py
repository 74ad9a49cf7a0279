"""An invisible watermark of 32 bits: spread over the middle frequencies of the whole picture's luma.

It survives shrinking to half and strong JPEG. It is lost by cropping, turning and mirroring: nothing searches for its
place yet.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
BITS = 32
SIDE = 256  # pixels of the square grid that every picture is stretched to
BAND = (6.0, 60.0)  # of the grid's DCT: above the changes of light, below what shrinking and JPEG take away
KEY = 0x415353  # which coefficients carry which bit, with which sign
STRENGTH = 2.2  # grey levels: deviation of the mark on a smooth ground
MARGIN = 1.2  # deviations: how clearly every bit is to be read in the picture that is marked
HEAVIEST, ROUNDS = 3.0, 5  # of a bit's weight, and of trying
PRESENT = 6.0  # of `detect`: from here on a picture counts as marked; docs/range.md says how often that errs


def embed(pixels: NDArray[np.uint8], payload: int) -> NDArray[np.uint8]:
    """Lay 32 bits into a picture.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        Not modified.
    payload : int
        0 to 2**32 - 1.

    Returns
    -------
    marked : ndarray of uint8, shape (H, W, 3)
        Every channel is shifted alike, more where the picture is busy.

    References
    ----------
    I. Cox, J. Kilian, T. Leighton, T. Shamoon, "Secure spread spectrum watermarking for multimedia", IEEE TIP 6(12),
    1997, doi:10.1109/83.650120.
    """
    if not 0 <= payload < 1 << BITS:
        raise ValueError(f"a payload has {BITS} bits")
    said = 2 * ((payload >> np.arange(BITS)) & 1) - 1
    luma = _luma(pixels)
    busy = cv2.GaussianBlur(np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 2)), (0, 0), 4)
    strength = STRENGTH * np.clip(0.7 + busy / 6, 0.7, 2.5)
    weights = np.ones(BITS)
    for _ in range(ROUNDS):
        added = strength * _pattern(weights * said, luma.shape)
        # A bit that the picture itself speaks against is laid in more strongly, until it is read with a margin.
        weak = _correlations(luma + added) * said < MARGIN
        if not weak.any():
            break
        weights[weak] = np.minimum(weights[weak] * 1.5, HEAVIEST)
    return np.asarray(np.clip(np.rint(pixels + added[..., None]), 0, 255), np.uint8)


def detect(pixels: NDArray[np.uint8]) -> tuple[float, int]:
    """Look for the mark.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)

    Returns
    -------
    strength : float
        How far the 32 correlations together lie above chance, in standard deviations: near 0 without a mark.
    payload : int
        The bits that were read, whether there is a mark or not.
    """
    z = _correlations(_luma(pixels))
    payload = int(((z > 0).astype(np.int64) << np.arange(BITS)).sum())
    return float(((z**2).sum() - BITS) / np.sqrt(2 * BITS)), payload


def _pattern(weights: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The mark of signed weights (32,), stretched to (H, W); deviation 1 where all weights are 1 or -1."""
    places, signs, _ = _carriers()
    spectrum = np.zeros(SIDE * SIDE)
    spectrum[places] = weights[:, None] * signs * (SIDE / np.sqrt(places.size))
    pattern = cv2.idct(spectrum.reshape(SIDE, SIDE)).astype(np.float32)
    return np.asarray(cv2.resize(pattern, shape[1::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _correlations(luma: NDArray[np.float32]) -> NDArray[np.float64]:
    """Correlate a luma (H, W) with each bit's carrier: (32,), of deviation 1 where there is no mark."""
    places, signs, rings = _carriers()
    small = cv2.resize(luma, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    found = cv2.dct(small - cv2.GaussianBlur(small, (0, 0), 3)).ravel()[places]
    # Pictures have most power in the slow changes, the mark has the same in all: each ring is brought to one level.
    size = np.abs(found)
    levels = np.array([np.median(size[rings == r]) for r in range(int(rings.max()) + 1)])
    found = np.clip(found / np.maximum(levels[rings], 1e-9), -4, 4)
    return np.asarray((found * signs).sum(axis=1) / np.sqrt((found**2).sum(axis=1) + 1e-12))


def _luma(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))


@cache
def _carriers() -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Places (32, K) in the flattened DCT, signs (32, K), and the ring of each place (32, K)."""
    rng = np.random.default_rng(KEY)
    v, u = np.mgrid[:SIDE, :SIDE]
    radius = np.hypot(u, v)
    band = np.flatnonzero((radius > BAND[0]) & (radius < BAND[1]))
    rng.shuffle(band)
    each = len(band) // BITS
    places = band[: each * BITS].reshape(BITS, each)
    rings = ((radius.ravel()[places] - BAND[0]) // 6).astype(np.int64)
    return places, rng.choice((-1.0, 1.0), places.shape), rings
