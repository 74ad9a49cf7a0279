"""Which green pixels were measured and which interpolated? Residuals on the two diagonal lattices, cell by cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.media.compiled import compiled

CELL = 8  # pixels


@compiled("int32[:, :, ::1](Array(uint8, 3, 'C', True))")
def lattices(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Add up how far green lies from the mean of its four neighbours, apart for both colours of a chessboard.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (H, W, 3), H and W at least 16
        Not modified.

    Returns
    -------
    sums : ndarray of int32, shape (2, H // 8, W // 8)
        Sums of ``|4 g - (up + down + left + right)|`` over the pixels of a cell whose coordinates add up to an even
        number, and to an odd one, in grey levels. Both are 0 in cells at the border and in cells that touch the ends of
        the scale, where clipping hides the interpolation.
    """
    rows, columns = rgb.shape[0] // 8, rgb.shape[1] // 8
    out = np.zeros((2, rows, columns), np.int32)
    for j in range(1, rows - 1):
        for i in range(1, columns - 1):
            even, odd = np.int32(0), np.int32(0)
            low, high = np.int32(255), np.int32(0)
            for y in range(8 * j, 8 * j + 8):
                for x in range(8 * i, 8 * i + 8):
                    g = np.int32(rgb[y, x, 1])
                    around = (
                        np.int32(rgb[y - 1, x, 1])
                        + np.int32(rgb[y + 1, x, 1])
                        + np.int32(rgb[y, x - 1, 1])
                        + np.int32(rgb[y, x + 1, 1])
                    )
                    low, high = min(low, g), max(high, g)
                    if (x + y) & 1:
                        odd += abs(4 * g - around)
                    else:
                        even += abs(4 * g - around)
            if low > 1 and high < 254:
                out[0, j, i], out[1, j, i] = even, odd
    return out
