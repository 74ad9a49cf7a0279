"""What `decoder_residual` learns from: pairs that differ in the decoder alone, and folds that keep sources apart."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "train"))
import decoder_residual as trainer

from assay.testing import images


def test_filters_see_no_tone_and_no_ramp_and_one_channel_each() -> None:
    bank = trainer.filters()
    assert bank.shape == (9, 3, 5, 5)
    assert bank.sum(axis=(2, 3)) == pytest.approx(np.zeros((9, 3)), abs=1e-6)
    ramp = np.arange(5.0)
    assert (bank * ramp).sum(axis=(2, 3)) == pytest.approx(np.zeros((9, 3)), abs=1e-5)
    assert [int(np.abs(b).sum(axis=(1, 2)).argmax()) for b in bank] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_both_of_a_pair_are_seen_in_the_same_way() -> None:
    square = images.scene(trainer.SIDE, trainer.SIDE, seed=4)
    for seed in range(40):
        one, other = (trainer.view(square, np.random.default_rng(seed)) for _ in range(2))
        assert one.shape == (trainer.CROP, trainer.CROP, 3)
        assert np.array_equal(one, other)


def test_views_differ_in_their_saves_and_places() -> None:
    square = images.scene(trainer.SIDE, trainer.SIDE, seed=4)
    seen = [trainer.view(square, np.random.default_rng(seed)).tobytes() for seed in range(20)]
    assert len(set(seen)) == 20


def test_squares_are_cut_at_many_scales_and_too_small_or_flat_pictures_give_none() -> None:
    rng = np.random.default_rng(0)
    picture = images.scene(1500, 1100, seed=5)
    squares = [trainer._square(picture, rng) for _ in range(30)]
    assert all(s is None or s.shape == (trainer.SIDE, trainer.SIDE, 3) for s in squares)
    assert sum(s is not None for s in squares) > 20
    assert trainer._square(images.scene(170, 170, seed=5), rng) is None
    assert trainer._square(np.full((900, 900, 3), 80, np.uint8), rng) is None


def test_folds_follow_the_source_and_not_how_it_is_written() -> None:
    assert trainer.fold_of("camera:Canon  EOS") == trainer.fold_of("Canon EOS")
    assert {trainer.fold_of(f"source {k}") for k in range(40)} == set(range(trainer.FOLDS))


def test_the_network_of_a_source_is_that_of_its_fold() -> None:
    digests = {trainer.fold_of(s): trainer.unseen(s)[0] for s in (f"source {k}" for k in range(40))}
    assert len(set(digests.values())) == trainer.FOLDS
