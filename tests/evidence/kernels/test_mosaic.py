from __future__ import annotations

import numpy as np

from assay.evidence.kernels import mosaic
from assay.testing import images


def plain(rgb: np.ndarray) -> np.ndarray:
    """The same sums, written down slowly."""
    g = rgb[..., 1].astype(int)
    rows, columns = g.shape[0] // 8, g.shape[1] // 8
    out = np.zeros((2, rows, columns), int)
    for j in range(1, rows - 1):
        for i in range(1, columns - 1):
            cell = g[8 * j : 8 * j + 8, 8 * i : 8 * i + 8]
            if cell.min() <= 1 or cell.max() >= 254:
                continue
            for y in range(8 * j, 8 * j + 8):
                for x in range(8 * i, 8 * i + 8):
                    around = g[y - 1, x] + g[y + 1, x] + g[y, x - 1] + g[y, x + 1]
                    out[(x + y) % 2, j, i] += abs(4 * g[y, x] - around)
    return out


def test_sums_are_those_of_the_plain_rule() -> None:
    pixels = images.scene(59, 50, seed=1)
    assert np.array_equal(mosaic.lattices(pixels), plain(pixels))


def test_clipped_cells_are_left_out() -> None:
    pixels = images.scene(64, 64, seed=2).clip(10, 240)
    pixels[20, 20] = 255
    sums = mosaic.lattices(pixels)
    assert sums[:, 2, 2].sum() == 0
    assert (sums.sum(axis=0)[1:-1, 1:-1] > 0).sum() == 35
