from __future__ import annotations

import numpy as np

from assay.evidence.kernels import regions


def test_the_greatest_window_is_found_where_it_is() -> None:
    values = np.random.default_rng(3).integers(0, 9, (12, 15)).astype(np.int32)
    values[4:7, 9:14] += 5
    table = regions.summed(values)
    assert int(table[-1, -1]) == values.sum()
    total = int(regions.greatest(table, 3, 5))
    assert (total, regions.place_of(table, 3, 5, total)) == (values[4:7, 9:14].sum(), (4, 9))


def test_touching_corners_connect() -> None:
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]], np.uint8)
    labels = regions.connected(mask)
    assert labels.tolist() == [[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 0], [3, 3, 0, 0]]


def test_growing_reaches_the_eight_neighbours() -> None:
    mask = np.zeros((5, 5), np.uint8)
    mask[2, 2] = 1
    assert regions.grown(mask).sum() == 9


def test_halving_keeps_the_sum_of_even_tables() -> None:
    counts = np.arange(24, dtype=np.int32).reshape(4, 6)
    assert regions.halved(counts).tolist() == [[14, 22, 30], [62, 70, 78]]


def test_windows_are_at_most_half_of_the_picture() -> None:
    assert all(2 * h * w <= 20 * 30 for h, w in regions.shapes(20, 30, (3, 6, 8)))
    assert regions.shapes(2, 2, (3,)) == []


def test_hits_beyond_their_chances_surprise() -> None:
    hits, trials = np.zeros((10, 10), np.int32), np.ones((10, 10), np.int32)
    hits[2:5, 6:9] = 1
    expected = np.pad(np.full((10, 10), 0.1).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    nats, top, left = regions.most_surprising(regions.summed(hits), regions.summed(trials), expected, 3, 3, 4)
    assert (top, left) == (2, 6)
    assert np.isclose(nats, 9 * np.log(10))
