from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.evidence.detectors import noise_level
from assay.evidence.detectors.noise_level import NoiseLevel
from assay.media import views
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import check_detector
from assay.types import Outcome

PATCH = np.s_[192:448, 256:576]


def noisy(inside: float, outside: float = 2.0) -> NDArray[np.uint8]:
    """A smooth picture of 640 x 896 with noise of its own strength in a patch."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:640, :896]
    smooth = 120 + 50 * np.sin(x / 70) + 40 * np.cos(y / 55)
    strength = np.full(smooth.shape, outside)
    strength[PATCH] = inside
    grey = smooth + strength * rng.normal(size=smooth.shape)
    return np.repeat(grey.round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_even_noise_scores_far_below_a_find() -> None:
    found = NoiseLevel().examine(Image(coded=noisy(2.0)))
    assert found.regions == ()
    assert found.score is not None
    assert found.score < 0.3 * noise_level.FOUND


@pytest.mark.parametrize(("inside", "code"), [(5.0, "noise_higher_region"), (0.8, "noise_lower_region")])
def test_a_patch_with_other_noise_is_outlined(
    inside: float, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise_level, "FOUND", 100.0)  # the patch is small beside what photographs do
    found = NoiseLevel().examine(Image(coded=noisy(inside)))
    assert [r.code for r in found.reasons] == [code]
    (region,) = found.regions
    xs, ys = zip(*region.points, strict=True)
    assert abs(min(xs) - 256) <= 32
    assert abs(max(xs) - 576) <= 32
    assert abs(min(ys) - 192) <= 32
    assert abs(max(ys) - 448) <= 32


def test_noise_that_grows_with_light_is_no_find() -> None:
    rng = np.random.default_rng(6)
    light = np.tile(np.linspace(30, 220, 896), (640, 1))
    grey = light + 0.3 * np.sqrt(light) * rng.normal(size=light.shape)
    picture = np.repeat(grey.round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    found = NoiseLevel().examine(Image(coded=picture))
    assert (found.score or 0) < 0.3 * noise_level.FOUND


@pytest.mark.parametrize("orientation", range(2, 9))
def test_heat_is_upright(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_level, "FOUND", 100.0)
    picture = noisy(5.0)
    plain, turned = (NoiseLevel().examine(Image(coded=picture, orientation=o)) for o in (1, orientation))
    assert plain.heat is not None
    assert turned.heat is not None
    assert np.array_equal(turned.heat, views.upright(plain.heat, orientation))
    assert turned.regions[0].width == turned.heat.shape[1] * noise_level.SIDE


def test_clipped_cells_are_left_out() -> None:
    picture = noisy(2.0)
    picture[:, :300] = 255
    assert not noise_level.measured(picture).usable[:, :18].any()


@pytest.mark.parametrize("pixels", [images.flat(400, 400), images.noise(100, 400)])
def test_flat_and_tiny_pictures_are_not_applicable(pixels: NDArray[np.uint8]) -> None:
    assert NoiseLevel().examine(Image(coded=pixels)).outcome is Outcome.NOT_APPLICABLE


def test_of_a_large_picture_the_middle_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_level, "LARGEST", 200_000)
    cells = noise_level.measured(noisy(2.0))
    assert cells.noise.size * noise_level.SIDE**2 <= 200_000
    assert cells.top > 0


def test_it_keeps_the_promises_of_a_detector() -> None:
    check_detector(NoiseLevel())
