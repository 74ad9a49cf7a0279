"""PDQ, a fingerprint of 256 bits that survives re-encoding and resizing, with one fixed path from pixels to code.

The path is part of the format `FORMAT`; whatever changes a code needs a new one:

1. the upright picture, eight bits of red, green and blue as decoded; alpha and colour profile are ignored;
2. no resize, whatever the size;
3. luma of BT.601, 0.299 R + 0.587 G + 0.114 B, never rounded;
4. PDQ as published: two passes of a box filter along rows and columns, 64 x 64 samples, the 16 x 16 lowest
   frequencies of a cosine transform without the mean, each compared with their median.

Only 64 x 64 samples of the filtered picture are needed, so both passes and the sampling are applied at once, as weights:
each pixel is read once, and mirrored filters cost little, which makes all eight orientations exact. (The reference
implementation turns the transform instead; as its box filter leans to one side, its turned codes are up to 30 bits
off the turned picture's own in small pictures.) Compiled here, since the package ``pdqhash`` comes as C++ source only
and would ask every user for a compiler.

References
----------
Facebook, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from assay.media.compiled import compiled
from assay.media.views import Image, upright
from assay.signatures.codes import Codes, from_bits
from assay.types import Reason

FORMAT = "pdq/1"
QUALITY = 50  # below it a picture has too little structure: PDQ's authors advise against indexing it
SMALLEST = 64  # pixels of the shorter side: PDQ samples 64 x 64 places
_GRID, _KEPT = 64, 16
_MIRRORED = ((0, 0), (0, 1), (1, 0), (1, 1))  # (upside down, left and right exchanged)
# cosines[k, n]: frequency k + 1, so that the mean has no part in the code
_COSINES = np.array(
    [
        [np.sqrt(2 / _GRID) * np.cos(np.pi / (2 * _GRID) * (k + 1) * (2 * n + 1)) for n in range(_GRID)]
        for k in range(_KEPT)
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class ImagePrint:
    """A picture's fingerprint in its eight orientations."""

    codes: Codes  # (8, 4); row k - 1 is that of `upright(pixels, k)`, k being EXIF's orientation
    quality: int  # 50 to 100

    @property
    def code(self) -> Codes:
        """The fingerprint of the picture as it stands, shape (4,): the one that a signature stores."""
        upright_code: Codes = self.codes[0]
        return upright_code


def image_print(image: Image) -> ImagePrint | Reason:
    """Fingerprint a decoded picture as people see it, or say why it has no fingerprint."""
    return pixels_print(upright(image.coded, image.orientation))


def pixels_print(pixels: NDArray[np.uint8]) -> ImagePrint | Reason:
    """Fingerprint upright pixels, or say why they have no fingerprint.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        Red, green and blue. Not modified.

    Returns
    -------
    fingerprint : ImagePrint or Reason
        A reason of the code ``too_small`` or ``too_flat``: its PDQ would match anything like it.

    Raises
    ------
    ValueError
        If `pixels` has another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels are uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}")
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST:
        return Reason("too_small", f"At {width} x {height} pixels it is too small for a fingerprint.")
    grids = sampled(pixels)
    quality = quality_of(grids[0, 0])
    if quality < QUALITY:
        words = (
            f"It has too little structure for a fingerprint (PDQ quality {quality} of 100, {QUALITY} needed)."
        )
        return Reason("too_flat", words)
    return ImagePrint(_coded(grids), quality)


def sampled(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """PDQ's 64 x 64 samples of the picture (H, W, 3) as it stands and mirrored.

    Returns
    -------
    samples : ndarray of float64, shape (2, 2, 64, 64)
        Luma, 0 to 255: ``[1]`` of the picture upside down, ``[:, 1]`` of its left and right exchanged.
    """
    height, width = pixels.shape[:2]
    rows = _across(np.ascontiguousarray(pixels), *_weights(width))
    return _down(rows, *_weights(height))


def quality_of(samples: NDArray[np.float64]) -> int:
    """PDQ's measure of structure, 0 to 100: whole hundredths between neighbouring samples (64, 64), over 90."""
    steps = samples.astype(np.float32)
    total = sum(int(np.abs(np.trunc(np.diff(steps, axis=a) * 100 / 255)).sum()) for a in (0, 1))
    return min(100, total // 90)


def _coded(grids: NDArray[np.float64]) -> Codes:
    """Codes (8, 4) of EXIF's eight orientations: four mirrored grids, and their transposes."""
    plain, across, down, both = (_cosine_transform(grids[v, u], _COSINES) for v, u in _MIRRORED)
    turned = np.stack([plain, across, both, down, plain.T, down.T, both.T, across.T])
    flat = turned.reshape(8, _KEPT * _KEPT)
    median = np.sort(flat, axis=1)[:, _KEPT * _KEPT // 2 - 1]
    return from_bits(flat > median[:, None])


@lru_cache(maxsize=64)
def _weights(length: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """What each of 64 samples is made of along an axis, after two passes of the box filter.

    Returns
    -------
    starts : ndarray of int64, shape (2, 64)
        First pixel of each sample; ``[1]`` for the axis mirrored.
    weights : ndarray of float64, shape (2, 64, S)
        Of the pixels from there on; they sum to 1.
    """
    window = (length + 2 * _GRID - 1) // (2 * _GRID)
    ahead = (window + 2) // 2 - 1  # PDQ's window of an even length leans forward
    behind = window - 1 - ahead
    places = np.arange(length)
    first, after = np.maximum(places - behind, 0), np.minimum(places + ahead + 1, length)
    share = 1 / (after - first)  # at the ends the mean is of what there is
    span = min(length, 2 * window - 1)
    starts = np.zeros((2, _GRID), np.int64)
    weights = np.zeros((2, _GRID, span))
    for k, at in enumerate(((np.arange(_GRID) + 0.5) * length / _GRID).astype(np.int64).tolist()):
        start = min(max(at - 2 * behind, 0), length - span)
        for j in range(first[at], after[at]):
            weights[0, k, first[j] - start : after[j] - start] += share[at] * share[j]
        starts[0, k], starts[1, k] = start, length - start - span
        weights[1, k] = weights[0, k, ::-1]
    return starts, weights


@compiled(
    "float64[:, :, ::1](Array(uint8, 3, 'C', True), Array(int64, 2, 'C', True), Array(float64, 3, 'C', True))"
)
def _across(
    rgb: NDArray[np.uint8], starts: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sample the luma of each row in 64 places, as it stands and mirrored: (H, W, 3) to (2, H, 64)."""
    height, width, span = rgb.shape[0], rgb.shape[1], weights.shape[2]
    out = np.empty((2, height, 64))
    luma = np.empty((4, width))
    for top in range(0, height, 4):
        # Four rows side by side: each sum keeps its order, none waits for another. The last rows may be done twice.
        y = min(top, height - 4)
        for r in range(4):
            row, grey = rgb[y + r], luma[r]
            for x in range(width):
                grey[x] = 0.299 * row[x, 0] + 0.587 * row[x, 1] + 0.114 * row[x, 2]
        for side in range(2):
            for k in range(64):
                a = b = c = d = 0.0
                start = starts[side, k]
                for n in range(span):
                    weight = weights[side, k, n]
                    a += weight * luma[0, start + n]
                    b += weight * luma[1, start + n]
                    c += weight * luma[2, start + n]
                    d += weight * luma[3, start + n]
                out[side, y, k], out[side, y + 1, k], out[side, y + 2, k], out[side, y + 3, k] = a, b, c, d
    return out


@compiled(
    "float64[:, :, :, ::1](Array(float64, 3, 'C', True), Array(int64, 2, 'C', True), Array(float64, 3, 'C', True))"
)
def _down(
    rows: NDArray[np.float64], starts: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sample the columns of (2, H, 64) in 64 places, as they stand and upside down: (2, 2, 64, 64)."""
    out = np.zeros((2, 2, 64, 64))
    for down in range(2):
        for across in range(2):
            for k in range(64):
                for n in range(weights.shape[2]):
                    weight = weights[down, k, n]
                    for x in range(64):
                        out[down, across, k, x] += weight * rows[across, starts[down, k] + n, x]
    return out


@compiled("float64[:, ::1](float64[:, ::1], Array(float64, 2, 'C', True))")
def _cosine_transform(grid: NDArray[np.float64], cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 16 x 16 lowest frequencies of 64 x 64 samples, summed in one order on every machine."""
    half = np.zeros((16, 64))
    for k in range(16):
        for y in range(64):
            for x in range(64):
                half[k, x] += cosines[k, y] * grid[y, x]
    out = np.zeros((16, 16))
    for k in range(16):
        for m in range(16):
            for x in range(64):
                out[k, m] += half[k, x] * cosines[m, x]
    return out
