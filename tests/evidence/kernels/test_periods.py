from __future__ import annotations

import cv2
import numpy as np
import pytest

from assay.evidence.kernels import periods


def noise(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(128, 20, (side, side)).clip(0, 255).astype(np.uint8)


def test_spectra_of_noise_are_one_in_the_mean_and_exponential() -> None:
    windows = np.random.default_rng(1).normal(size=(6, 64, 64)).astype(np.float32)
    power = periods.whitened(windows)
    assert power.shape == (6, 64, 33)
    assert power.mean() == pytest.approx(1, abs=0.05)
    assert np.median(power) == pytest.approx(np.log(2), abs=0.05)


def test_a_pair_is_the_weaker_one_of_two_lines_at_right_angles() -> None:
    power = np.zeros((32, 17), np.float32)
    power[3, 5] = 7  # turned by 90 degrees: vertical -5, horizontal 3
    power[32 - 5, 3] = 4
    pairs = periods.crossed(power)
    assert pairs[3, 5] == 4
    assert pairs.sum() == 4


@pytest.mark.parametrize("scale", [1.15, 1.45, 1.7])
def test_an_enlarged_picture_has_the_line_of_its_scale(scale: float) -> None:
    grown = cv2.resize(noise(300), None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)[:256, :256]
    pairs = periods.crossed(periods.whitened(periods.errors(grown)[1][None]))[0] * periods.admissible(256)
    y, x = np.unravel_index(int(pairs.argmax()), pairs.shape)
    line = 1 / scale
    assert (y, x / 256) == (0, pytest.approx(min(line, 1 - line), abs=1.5 / 256))
    assert pairs.max() > 10


def test_a_picture_that_was_not_resized_has_no_line() -> None:
    pairs = periods.crossed(periods.whitened(periods.errors(noise(256))[1][None]))[0] * periods.admissible(
        256
    )
    assert pairs.max() < 8


def test_lines_of_blocks_and_filters_cannot_speak() -> None:
    allowed = periods.admissible(128)
    assert not allowed[::16, ::16].any()
    assert not allowed[0, 17]
    assert not allowed[2, 2]
    assert allowed[0, 20]
    assert allowed[40, 23]
