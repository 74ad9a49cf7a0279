from __future__ import annotations

import cv2
import numpy as np
import pytest
from shown import mask, overlap

from assay.evidence.detectors.demosaicing import Demosaicing
from assay.media import views
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import check_detector
from assay.types import Finding, Outcome

PATCH = np.s_[160:320, 200:376]


def filtered(pixels: np.ndarray, parity: int = 0) -> np.ndarray:
    """Keep green where a colour filter lets it through; elsewhere it is the mean of the four neighbours."""
    out = pixels.copy()
    green = pixels[..., 1].astype(np.float32)
    kernel = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
    y, x = np.indices(green.shape)
    between = cv2.filter2D(green, -1, kernel).round().astype(np.uint8)
    out[..., 1] = np.where((x + y) % 2 == parity, pixels[..., 1], between)
    return out


def examined(pixels: np.ndarray, orientation: int = 1) -> Finding:
    return Demosaicing().examine(Image(coded=pixels, orientation=orientation))


def codes(found: Finding) -> set[str]:
    return {r.code for r in found.reasons}


@pytest.fixture(scope="module")
def honest() -> np.ndarray:
    return filtered(images.scene(512, 448, seed=1, grain=4))


@pytest.fixture(scope="module")
def forged(honest: np.ndarray) -> np.ndarray:
    out = honest.copy()
    out[PATCH] = filtered(images.scene(512, 448, seed=2, grain=4), parity=1)[PATCH]
    return out


def test_a_picture_of_one_pattern_is_silent(honest: np.ndarray) -> None:
    found = examined(honest)
    assert found.score is not None
    assert found.score < 0
    assert codes(found) == {"cfa_consistent"}
    assert found.regions == ()


def test_a_patch_of_the_other_phase_is_outlined(forged: np.ndarray) -> None:
    found = examined(forged)
    assert codes(found) == {"cfa_foreign_region"}
    assert found.score is not None
    assert found.score > 30
    assert overlap(found, mask((448, 512), PATCH)) > 0.8


def test_a_patch_without_a_pattern_is_outlined(honest: np.ndarray) -> None:
    pixels = honest.copy()
    pixels[PATCH] = images.scene(512, 448, seed=3, grain=4)[PATCH]
    found = examined(pixels)
    assert codes(found) == {"cfa_missing_region"}
    assert overlap(found, mask((448, 512), PATCH)) > 0.6


def test_a_patch_of_the_same_phase_is_not_seen(honest: np.ndarray) -> None:
    pixels = honest.copy()
    pixels[PATCH] = filtered(images.scene(512, 448, seed=2, grain=4))[PATCH]
    assert codes(examined(pixels)) == {"cfa_consistent"}


def test_a_smooth_patch_says_nothing(honest: np.ndarray) -> None:
    pixels = honest.copy()
    pixels[PATCH] = 90
    assert codes(examined(pixels)) == {"cfa_consistent"}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_and_heat_are_upright(forged: np.ndarray, orientation: int) -> None:
    plain, turned = examined(forged), examined(forged, orientation)
    there = [
        views.upright_box((x, y, 0, 0), forged.shape[:2], orientation)[:2] for x, y in plain.regions[0].points
    ]
    assert np.allclose(turned.regions[0].points, there)
    assert (turned.regions[0].height, turned.regions[0].width) == views.upright(forged, orientation).shape[:2]
    assert plain.heat is not None
    assert turned.heat is not None
    assert np.array_equal(turned.heat, views.upright(plain.heat, orientation))


def test_polygons_are_short(forged: np.ndarray) -> None:
    assert all(3 <= len(r.points) <= 64 for r in examined(forged).regions)


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (images.scene(320, 256, seed=4), "cfa_none"),
        (images.flat(256, 256), "no_texture"),
        (images.noise(191, 400), "too_small"),
        (images.noise(256, 256), "cfa_none"),
    ],
)
def test_pictures_without_a_pattern_are_not_applicable(pixels: np.ndarray, code: str) -> None:
    found = examined(pixels)
    assert (found.outcome, codes(found)) == (Outcome.NOT_APPLICABLE, {code})


def test_it_keeps_the_promises_of_a_detector(forged: np.ndarray) -> None:
    check_detector(Demosaicing(), views={"a forgery": Image(coded=forged)})
