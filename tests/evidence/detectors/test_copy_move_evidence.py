"""What a match is measured by, and what its score makes of places that are small or belong to a pattern."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from assay.evidence.detectors import _copy_move_agreement as agreement
from assay.evidence.detectors import _copy_move_evidence as evidence
from assay.evidence.detectors import copy_move
from assay.evidence.detectors._copy_move_evidence import LEAST, NAMES, Pictures, Weights
from assay.testing import images


def luma(width: int, height: int, seed: int) -> np.ndarray:
    return copy_move.luma(images.scene(width, height, seed=seed))


def forged(width: int, height: int, *, grain: float = 0.0) -> np.ndarray:
    """A place moved from the left to the right; with grain, each of the two has its own."""
    picture = luma(width, height, 3)
    side = height // 3
    top, left, right = height // 3, width // 8, width - width // 8 - side
    picture[top : top + side, right : right + side] = picture[top : top + side, left : left + side]
    noise = np.random.default_rng(1).normal(0, grain, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def best(picture: np.ndarray) -> dict[str, float]:
    found = copy_move.measured(picture)
    _, measured = max(found, key=lambda pair: evidence.shipped().score(pair[1]))
    return dict(zip(NAMES, measured, strict=True))


@pytest.mark.parametrize("size", [(600, 420), (1500, 1050), (3000, 2100)])
def test_a_copy_agrees_at_its_own_resolution_however_large_the_picture_is(size):
    measured = best(forged(*size))
    assert measured["own_detail"] == pytest.approx(math.atanh(evidence.LIMIT), abs=0.6)
    assert measured["own_finest"] > 1.2
    assert measured["own_miss"] < math.log(1 + 3)


def test_grain_of_its_own_tells_a_likeness_from_a_copy():
    copy, likeness = best(forged(900, 640)), best(forged(900, 640, grain=9))
    for name in ("detail", "weakest", "own_detail", "own_finest"):
        assert likeness[name] < copy[name] - 0.1, name
    for name in ("miss", "own_miss", "own_miss_of_contrast"):
        assert likeness[name] > copy[name] + 0.3, name


def test_measures_are_finite_where_the_places_are_thin_flat_or_at_the_edge():
    picture = forged(900, 640)
    (match, _), *_ = copy_move.measured(picture)
    grey = cv2.resize(picture, (match.first.shape[1], match.first.shape[0]), interpolation=cv2.INTER_AREA)
    pictures = Pictures(picture, agreement.Surface(grey.astype(np.float32)))
    flat = Pictures(np.zeros_like(picture), agreement.Surface(np.zeros_like(grey, np.float32)))
    thin, corner = np.zeros_like(match.first), np.zeros_like(match.first)
    thin[50, :] = True
    corner[-12:, -12:] = True
    for shown in (pictures, flat):
        for place in (match.first, thin, corner):
            measured = evidence.measures(shown, replace(match, first=place, second=place), 0.0)
            assert len(measured) == len(NAMES)
            assert np.isfinite(measured).all()


def test_a_map_into_another_surface_is_refined():
    scene = luma(400, 300, 5).astype(np.float32)
    shift = np.array([[1.0, 0.0, 2.6], [0.0, 1.0, -1.7]])
    other = cv2.warpAffine(scene, shift, (400, 300), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((300, 400), bool)
    mask[80:200, 100:300] = True
    started = np.array([[1.0, 0.0, 1.5], [0.0, 1.0, -1.0]])
    found = agreement.refined(
        agreement.Surface(scene), started, mask, other=agreement.Surface(other), rounds=12
    )
    assert found == pytest.approx(shift, abs=0.1)


@pytest.fixture
def certain() -> dict[str, float]:
    """Measures of a large place with many keypoints, whose discriminant is far over 0."""
    return dict.fromkeys(NAMES, 0.0) | {"points": math.log(64), "area": math.log(0.05), "detail": 1.0}


WEIGHTS = Weights(tuple(2.0 if name == "points" else 0.0 for name in NAMES), -2.0)


def test_a_small_place_counts_by_its_size(certain):
    whole = WEIGHTS.score(tuple(certain.values()))
    assert whole == pytest.approx(2 * math.log(64) - 2)
    small = WEIGHTS.score(tuple((certain | {"area": math.log(0.0025)}).values()))
    assert small == pytest.approx(LEAST + (whole - LEAST) / 4)


def test_a_rival_takes_from_a_match_up_to_all(certain):
    whole = WEIGHTS.score(tuple(certain.values()))
    half = WEIGHTS.score(tuple((certain | {"rival": 4.0}).values()))  # its own strength is sqrt(64) * 1
    assert half == pytest.approx(LEAST + (whole - LEAST) / 2)
    for rival in (8.0, 80.0):
        assert WEIGHTS.score(tuple((certain | {"rival": rival}).values())) == LEAST


def test_no_score_lies_below_the_least():
    assert Weights((0.0,) * len(NAMES), -100.0).score((0.0,) * len(NAMES)) == LEAST


def test_the_shipped_weights_know_every_measure():
    weights = evidence.shipped()
    assert len(weights.of) == len(NAMES)
    assert np.isfinite([*weights.of, weights.bias]).all()
