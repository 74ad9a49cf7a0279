from __future__ import annotations

import numpy as np

from assay.evidence.kernels import doubles, grid
from assay.media.coefficients import read_jpeg
from assay.testing import images

FREQUENCIES = np.array([(0, 1), (2, 3)], np.int64)


def test_clipped_blocks_and_those_that_reach_out_are_left_out() -> None:
    pixels = images.flat(24, 20)
    pixels[9, 3] = (120, 255, 120)
    assert doubles.clipped(pixels, 3, 3).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]


def test_coded_histograms_count_magnitudes() -> None:
    coefficients = np.zeros((2, 2, 8, 8), np.int16)
    coefficients[..., 0, 1] = [[-3, 3], [0, 70]]
    excluded = np.zeros((2, 2), np.uint8)
    counts = doubles.coded_histograms(coefficients, excluded, FREQUENCIES)
    assert (counts[0, 0], counts[0, 3], counts[0].sum(), counts[1, 0]) == (1, 2, 3, 4)


def test_shifted_histograms_agree_with_a_plain_transform() -> None:
    grey = grid.luma(images.scene(44, 36, seed=2))
    steps = np.array([3, 5], np.float32)
    counts = doubles.shifted_histograms(grey, np.zeros((5, 6), np.uint8), FREQUENCIES, steps, doubles.BASIS)
    expected = np.zeros((2, 64), int)
    basis = doubles.BASIS.astype(np.float64)
    for y in range(4, 29, 8):
        for x in range(4, 37, 8):
            block = basis @ grey[y : y + 8, x : x + 8] @ basis.T
            for f, (v, u) in enumerate(FREQUENCIES):
                magnitude = int(abs(block[v, u]) / steps[f] + 0.5)
                if magnitude < 64:
                    expected[f, magnitude] += 1
    assert np.abs(counts - expected).sum() <= 2  # single precision may round one the other way


def test_a_second_save_leaves_a_comb_that_the_shift_wipes_out() -> None:
    import io

    from PIL import Image

    once = Image.open(io.BytesIO(images.jpeg(images.scene(512, 448, seed=3), quality=60))).convert("RGB")
    data = images.jpeg(np.asarray(once), quality=95)
    pixels = np.ascontiguousarray(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    plane = read_jpeg(data, pixels=10**6).planes[0]
    excluded = doubles.clipped(pixels, *plane.coefficients.shape[:2])
    steps = plane.quantisation[FREQUENCIES[:, 0], FREQUENCIES[:, 1]].astype(np.float32)
    coded = doubles.coded_histograms(np.ascontiguousarray(plane.coefficients), excluded, FREQUENCIES)[0]
    shifted = doubles.shifted_histograms(grid.luma(pixels), excluded, FREQUENCIES, steps, doubles.BASIS)[0]
    assert (coded[1:20] == 0).sum() > (shifted[1:20] == 0).sum()


def test_block_sums_add_what_the_tables_say() -> None:
    coefficients = np.zeros((1, 2, 8, 8), np.int16)
    coefficients[0, 0, 0, 1], coefficients[0, 0, 2, 3] = -2, 5
    tables = np.zeros((2, 64), np.float32)
    tables[0, 2], tables[1, 5] = 1.5, -4.0
    sums, terms = doubles.block_sums(coefficients, np.array([[0, 0]], np.uint8), FREQUENCIES, tables)
    assert (sums.tolist(), terms.tolist()) == ([[-2.5, 0.0]], [[2.0, 0.0]])
