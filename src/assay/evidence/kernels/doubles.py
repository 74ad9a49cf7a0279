"""Histograms of DCT coefficients: as coded, and as they would be without an earlier quantisation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from assay.media.compiled import compiled

BINS = 64  # magnitudes 0 to 63, in quantisation steps; what is larger is left out
# basis[k, n]: orthonormal 8-point DCT
BASIS = np.array(
    [
        [math.sqrt((1 if k == 0 else 2) / 8) * math.cos((2 * n + 1) * k * math.pi / 16) for n in range(8)]
        for k in range(8)
    ]
).astype(np.float32)


@compiled("uint8[:, ::1](Array(uint8, 3, 'C', True), int64, int64)")
def clipped(rgb: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Which blocks of 8 x 8 pixels hold a clipped channel, or reach out of the picture: (rows, columns).

    Clipping to 0 or 255 moves coefficients off the lattice on which an earlier quantisation left them.
    """
    out = np.zeros((rows, columns), np.uint8)
    height, width = rgb.shape[0], rgb.shape[1]
    for j in range(rows):
        for i in range(columns):
            if j * 8 + 8 > height or i * 8 + 8 > width:
                out[j, i] = 1
    for y in range(min(height, rows * 8)):
        for x in range(min(width, columns * 8)):
            low = min(rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2])
            high = max(rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2])
            if low == 0 or high == 255:
                out[y >> 3, x >> 3] = 1
    return out


@compiled("int64[:, ::1](Array(int16, 4, 'C', True), Array(uint8, 2, 'C', True), Array(int64, 2, 'C', True))")
def coded_histograms(
    coefficients: NDArray[np.int16], excluded: NDArray[np.uint8], frequencies: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count magnitudes of quantised coefficients: (F, BINS) for F frequencies (v, u), over blocks not `excluded`."""
    out = np.zeros((frequencies.shape[0], 64), np.int64)
    for j in range(coefficients.shape[0]):
        for i in range(coefficients.shape[1]):
            if excluded[j, i]:
                continue
            for f in range(frequencies.shape[0]):
                magnitude = abs(np.int64(coefficients[j, i, frequencies[f, 0], frequencies[f, 1]]))
                if magnitude < 64:
                    out[f, magnitude] += 1
    return out


@compiled(
    "int64[:, ::1](Array(uint8, 2, 'C', True), Array(uint8, 2, 'C', True), Array(int64, 2, 'C', True), "
    "Array(float32, 1, 'C', True), Array(float32, 2, 'C', True))"
)
def shifted_histograms(
    grey: NDArray[np.uint8],
    excluded: NDArray[np.uint8],
    frequencies: NDArray[np.int64],
    steps: NDArray[np.float32],
    basis: NDArray[np.float32],
) -> NDArray[np.int64]:
    """The same, over blocks cut out 4 pixels off the grid, where no quantisation has left its comb.

    Parameters
    ----------
    grey : ndarray of uint8, shape (H, W)
        Luma. Not modified.
    excluded : ndarray of uint8, shape (R, C)
        Blocks on the grid that are left out, with every shifted block that begins in them.
    frequencies, steps : ndarray, shapes (F, 2) and (F,)
        (v, u) and the quantisation step of each frequency.
    basis : ndarray of float32, shape (8, 8)
        `BASIS`.
    """
    out = np.zeros((frequencies.shape[0], 64), np.int64)
    rows, columns = (
        min(excluded.shape[0], (grey.shape[0] - 4) // 8),
        min(excluded.shape[1], (grey.shape[1] - 4) // 8),
    )
    half = np.empty((8, 8), np.float32)
    for j in range(rows):
        for i in range(columns):
            if excluded[j, i]:
                continue
            top, left = j * 8 + 4, i * 8 + 4
            for v in range(8):
                for x in range(8):
                    total = np.float32(0)
                    for y in range(8):
                        total += basis[v, y] * np.float32(grey[top + y, left + x])
                    half[v, x] = total
            for f in range(frequencies.shape[0]):
                value = np.float32(0)
                for x in range(8):
                    value += basis[frequencies[f, 1], x] * half[frequencies[f, 0], x]
                magnitude = np.int64(abs(value) / steps[f] + np.float32(0.5))
                if magnitude < 64:
                    out[f, magnitude] += 1
    return out


@compiled(
    "UniTuple(float32[:, ::1], 2)(Array(int16, 4, 'C', True), Array(uint8, 2, 'C', True), "
    "Array(int64, 2, 'C', True), Array(float32, 2, 'C', True))"
)
def block_sums(
    coefficients: NDArray[np.int16],
    excluded: NDArray[np.uint8],
    frequencies: NDArray[np.int64],
    tables: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Add up ``tables[f, magnitude]`` over the frequencies of each block, and count the terms that are not 0.

    Two arrays (R, C), both 0 for blocks left out.
    """
    sums = np.zeros(excluded.shape, np.float32)
    terms = np.zeros(excluded.shape, np.float32)
    for j in range(coefficients.shape[0]):
        for i in range(coefficients.shape[1]):
            if excluded[j, i]:
                continue
            for f in range(frequencies.shape[0]):
                magnitude = abs(np.int64(coefficients[j, i, frequencies[f, 0], frequencies[f, 1]]))
                if magnitude < 64 and tables[f, magnitude] != 0:
                    sums[j, i] += tables[f, magnitude]
                    terms[j, i] += np.float32(1)
    return sums, terms
