"""The inner loops of `alignment`, compiled: what a step costs is a pass over the picture, not a dozen arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.media.compiled import compiled

Luma = NDArray[np.float32]
LEAST, MOST = 0.25, 4.0  # of a gain
ROUNDS = 3
BINS, STEPS = 8192, 32  # of the histogram that tells the median: 1/32 grey level each, up to 256
_READ = "Array(float32, 2, 'C', True)"


@compiled(f"Tuple((float64, float64))({_READ}, {_READ}, {_READ}, float64, float64, float32[:, ::1])")
def brightness(
    warped: Luma, reference: Luma, weights: Luma, floor: float, cut: float, kept: Luma
) -> tuple[float, float]:
    """Fit warped = gain * reference + offset by weighted least squares, thrice, dropping what does not fit.

    Parameters
    ----------
    warped, reference, weights : ndarray of float32, shape (h, w)
        Luma, and weights from 0 to 1.
    floor : float
        Grey levels: the least deviation.
    cut : float
        Deviations beyond which a pixel has no weight. The deviation is told from the median residual to 1/32 level.
    kept : ndarray of float32, shape (h, w)
        Overwritten: the weights of what fits.

    Returns
    -------
    gain, offset : float
    """
    height, width = warped.shape
    counts = np.zeros(BINS, np.int64)
    for y in range(height):
        for x in range(width):
            kept[y, x] = weights[y, x]
    gain, offset = 1.0, 0.0
    for _ in range(ROUNDS):
        total = sum_r = sum_w = 0.0
        for y in range(height):
            for x in range(width):
                k = np.float64(kept[y, x])
                total += k
                sum_r += k * reference[y, x]
                sum_w += k * warped[y, x]
        total += 1e-9
        mean_r, mean_w = sum_r / total, sum_w / total
        spread = shared = 0.0
        for y in range(height):
            for x in range(width):
                lean = kept[y, x] * (reference[y, x] - mean_r)
                spread += lean * (reference[y, x] - mean_r)
                shared += lean * (warped[y, x] - mean_w)
        spread, shared = spread / total, shared / total
        gain = min(MOST, max(LEAST, shared / max(spread, 1e-6))) if spread > floor * floor else 1.0
        offset = mean_w - gain * mean_r
        counts.fill(0)
        among = 0
        for y in range(height):
            for x in range(width):
                residual = abs(warped[y, x] - gain * reference[y, x] - offset)
                kept[y, x] = np.float32(residual)
                if weights[y, x] > 0.5:
                    counts[min(BINS - 1, int(residual * STEPS))] += 1
                    among += 1
        seen, place = 0, 0
        while place < BINS - 1 and 2 * (seen + counts[place]) < among:
            seen += counts[place]
            place += 1
        middle = (place + 0.5) / STEPS if among else 0.0
        reach = cut * max(floor, 1.4826 * middle)
        for y in range(height):
            for x in range(width):
                near = max(0.0, 1 - (kept[y, x] / reach) ** 2)
                kept[y, x] = np.float32(weights[y, x] * near * near)
    return gain, offset


@compiled(f"void({_READ}, {_READ}, {_READ}, float64, float64, float64, float64[:, ::1], float64[::1])")
def normal_equations(
    warped: Luma, reference: Luma, weights: Luma, gain: float, offset: float, unit: float,
    matrix: NDArray[np.float64], right: NDArray[np.float64],
) -> None:  # fmt: skip
    """Sum up what a step of Gauss-Newton solves: six unknowns of an affine map, coordinates centred, `unit` a pixel.

    `matrix` (6, 6) and `right` (6,) are overwritten.
    """
    height, width = warped.shape
    matrix.fill(0)
    right.fill(0)
    column = np.empty(6)
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        v = (y - (height - 1) / 2) * unit
        for x in range(width):
            weight = np.float64(weights[y, x])
            if weight == 0:
                continue
            before, after = max(x - 1, 0), min(x + 1, width - 1)
            gx = np.float64(warped[y, after] - warped[y, before]) / ((after - before) * unit)
            gy = np.float64(warped[below, x] - warped[above, x]) / ((below - above) * unit)
            u = (x - (width - 1) / 2) * unit
            column[0], column[1], column[2] = gx * u, gx * v, gx
            column[3], column[4], column[5] = gy * u, gy * v, gy
            residual = weight * (gain * reference[y, x] + offset - warped[y, x])
            for i in range(6):
                right[i] += residual * column[i]
                for j in range(i + 1):
                    matrix[i, j] += weight * column[i] * column[j]
    for i in range(6):
        for j in range(i):
            matrix[j, i] = matrix[i, j]
