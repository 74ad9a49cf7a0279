from __future__ import annotations

import numpy as np
import pytest

from assay.evidence.kernels import ghosts


@pytest.mark.parametrize(("first", "step"), [(2, 5), (8, 5), (3, 3), (1, 12)])
def test_probabilities_add_up_to_one(first: int, step: int) -> None:
    for law in (ghosts.once(step, 1.0), ghosts.twice(first, step, 1.0)):
        assert law.shape == (ghosts.CLASSES, ghosts.MOST)
        assert np.allclose(law.sum(axis=1), 1)
        assert (law > 0).all()


def test_two_saves_leave_the_comb_of_the_first() -> None:
    """Steps 8, then 4: only even magnitudes remain, but for rounding."""
    law = ghosts.twice(8, 4, 1.0)[-1]
    assert law[1] > 5 * law[0]
    assert law[3] > 5 * law[2]


def simulated(first: int | None, step: int, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scale = ghosts.SPREAD * (ghosts.MIDDLES[8] + ghosts.FLOOR)
    values = scale * rng.pareto(ghosts.SHAPE, n)
    if first:
        values = np.round(values / first) * first + rng.normal(0, ghosts.ROUNDING, n)
    magnitudes = np.abs(np.round(values / step)).astype(np.int64)
    return magnitudes[(magnitudes > 0) & (magnitudes <= ghosts.MOST)]


def test_the_ratio_sinks_under_two_saves_and_rises_under_one() -> None:
    twice, once = simulated(8, 5, 4000, 1), simulated(None, 5, 4000, 2)
    counts = ghosts.tally(twice, np.full(len(twice), 8))
    table, variance = ghosts.ratios(counts, 8, 5, 1.0)
    assert table[8, twice - 1].mean() < -0.3 * variance[8]
    assert table[8, once - 1].mean() > 0.3 * variance[8]


def test_a_misfit_without_a_comb_says_nothing() -> None:
    """Counts that fall much faster than the law expects do not speak for either side."""
    magnitudes = np.random.default_rng(3).geometric(0.5, 5000).clip(1, ghosts.MOST)
    table, _ = ghosts.ratios(ghosts.tally(magnitudes, np.full(5000, 2)), 2, 5, 1.0)
    assert table[2, magnitudes - 1].mean() <= 0


def test_classes_follow_the_texture_around() -> None:
    grey = np.full((64, 128), 100, np.uint8)
    grey[:, 64:] = np.random.default_rng(4).integers(0, 256, (64, 64))
    found = ghosts.classes(grey, 8, 16)
    assert found.shape == (8, 16, len(ghosts.FREQUENCIES))
    assert found[:, :6].max() == 0
    assert np.median(found[:, 10:]) > 5
