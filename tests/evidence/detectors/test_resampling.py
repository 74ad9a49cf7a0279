from __future__ import annotations

import cv2
import numpy as np
import pytest
from shown import mask, overlap

from assay.evidence.detectors.resampling import Resampling
from assay.media import views
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import check_detector
from assay.types import Finding, Outcome

PATCH = np.s_[96:352, 160:448]


def photograph(width: int, height: int, seed: int) -> np.ndarray:
    """Blurred noise of several scales and grain: unlike `images.scene`, nothing in it was ever enlarged."""
    rng = np.random.default_rng(seed)
    total = np.full((height, width), 128.0)
    for sigma, strength in ((1.0, 8), (3.0, 20), (12.0, 60), (40.0, 120)):
        total += cv2.GaussianBlur(rng.normal(0, strength * sigma / 2, (height, width)), (0, 0), sigma)
    grained = total[..., None] + rng.normal(0, 3, (height, width, 3))
    return grained.clip(2, 253).round().astype(np.uint8)


def grown(pixels: np.ndarray, scale: float) -> np.ndarray:
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def examined(pixels: np.ndarray, orientation: int = 1) -> Finding:
    return Resampling().examine(Image(coded=pixels, orientation=orientation))


def code(found: Finding) -> str:
    return found.reasons[0].code


@pytest.fixture(scope="module")
def honest() -> np.ndarray:
    return photograph(640, 512, 1)


@pytest.fixture(scope="module")
def forged(honest: np.ndarray) -> np.ndarray:
    out = honest.copy()
    out[PATCH] = grown(photograph(640, 512, 2), 1.4)[PATCH]
    return out


def test_a_picture_that_was_not_resized_is_silent(honest: np.ndarray) -> None:
    found = examined(honest)
    assert found.score is not None
    assert found.score < 2
    assert code(found) == "resampling_none"


def test_an_enlarged_patch_is_outlined(forged: np.ndarray) -> None:
    found = examined(forged)
    assert code(found) == "resampled_region"
    assert found.score is not None
    assert found.score > 8
    assert overlap(found, mask((512, 640), PATCH)) > 0.6


def test_a_turned_patch_is_found(honest: np.ndarray) -> None:
    pixels, donor = honest.copy(), photograph(640, 512, 3)
    turn = cv2.getRotationMatrix2D((320, 256), 12, 1)
    pixels[PATCH] = cv2.warpAffine(donor, turn, (640, 512), flags=cv2.INTER_LINEAR)[PATCH]
    assert code(examined(pixels)) == "resampled_region"


def test_a_picture_that_was_enlarged_as_a_whole_is_no_forgery(honest: np.ndarray) -> None:
    found = examined(np.ascontiguousarray(grown(honest, 1.4)[:512, :640]))
    assert (code(found), found.regions) == ("resampled_as_a_whole", ())
    assert found.score is not None
    assert found.score < 3


def test_jpeg_blocks_are_no_resampling(honest: np.ndarray) -> None:
    import io

    from PIL import Image as Pillow

    for quality in (90, 60):
        saved = np.asarray(Pillow.open(io.BytesIO(images.jpeg(honest, quality=quality))))
        assert code(examined(saved)) == "resampling_none"


def test_a_woven_texture_is_no_resampling(honest: np.ndarray) -> None:
    pixels = honest.astype(float)
    y, x = np.mgrid[:512, :640]
    weave = 14 * (np.sin(2 * np.pi * 0.21 * x) + np.sin(2 * np.pi * 0.21 * y))
    pixels[PATCH] += weave[..., None][PATCH]
    assert code(examined(pixels.clip(0, 255).astype(np.uint8))) == "resampling_none"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_and_heat_are_upright(forged: np.ndarray, orientation: int) -> None:
    plain, turned = examined(forged), examined(forged, orientation)
    there = [
        views.upright_box((x, y, 0, 0), forged.shape[:2], orientation)[:2] for x, y in plain.regions[0].points
    ]
    assert np.allclose(turned.regions[0].points, there)
    assert plain.heat is not None
    assert turned.heat is not None
    assert np.array_equal(turned.heat, views.upright(plain.heat, orientation))


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [(images.flat(400, 400), "no_texture"), (images.noise(319, 600), "too_small")],
)
def test_flat_and_small_pictures_are_not_applicable(pixels: np.ndarray, expected: str) -> None:
    found = examined(pixels)
    assert (found.outcome, code(found)) == (Outcome.NOT_APPLICABLE, expected)


def test_large_pictures_are_examined_in_the_middle(forged: np.ndarray) -> None:
    wide = np.concatenate([photograph(400, 512, 5), forged, photograph(400, 512, 6)], axis=1)
    found = examined(wide)
    assert code(found) == "resampled_region"
    assert min(x for x, _ in found.regions[0].points) > 480


def test_it_keeps_the_promises_of_a_detector(forged: np.ndarray) -> None:
    check_detector(Resampling(), views={"a forgery": Image(coded=forged)})
