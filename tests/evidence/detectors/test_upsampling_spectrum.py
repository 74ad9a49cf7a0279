from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from assay.evidence.detectors import upsampling_spectrum
from assay.evidence.detectors.upsampling_spectrum import UpsamplingSpectrum
from assay.evidence.kernels import grid
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import check_detector
from assay.types import Finding, Outcome


def examined(pixels: np.ndarray) -> Finding:
    return UpsamplingSpectrum().examine(Image(coded=pixels))


def decoded(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Halve a picture and bring it back as a transposed convolution with unequal weights does."""
    half = pixels[::2, ::2].astype(float)
    big = half.repeat(2, axis=0).repeat(2, axis=1)
    weights = np.array([[1.03, 0.98], [0.99, 1.01]])
    big *= np.tile(weights, (half.shape[0], half.shape[1]))[..., None]
    noise = np.random.default_rng(seed).normal(0, 2, big.shape)
    return (big + noise).clip(0, 255).round().astype(np.uint8)


def test_a_decoder_of_unequal_weights_is_seen() -> None:
    found = examined(decoded(images.scene(512, 512, seed=1)))
    assert found.reasons[0].code == "spectrum_lines"
    assert found.score is not None
    assert found.score > upsampling_spectrum.NOTABLE


@pytest.mark.parametrize("quality", [None, 95, 80, 50])
def test_pictures_and_their_jpegs_have_no_excess(quality: int | None) -> None:
    pixels = images.scene(512, 512, seed=2)
    if quality is not None:
        pixels = np.asarray(Pillow.open(io.BytesIO(images.jpeg(pixels, quality=quality))))
    found = examined(pixels)
    assert found.reasons[0].code == "spectrum_nothing"


def test_a_smoothed_picture_falls_off_more() -> None:
    pixels = images.scene(512, 512, seed=3, grain=4)
    soft = (
        pixels.astype(float) + np.roll(pixels, 1, 0) + np.roll(pixels, 1, 1) + np.roll(pixels, (1, 1), (0, 1))
    ) / 4
    sharp, blurred = (
        upsampling_spectrum.averaged(grid.luma(p)) for p in (pixels, soft.round().astype(np.uint8))
    )
    assert sharp is not None
    assert blurred is not None
    assert upsampling_spectrum.fall_off(blurred) < upsampling_spectrum.fall_off(sharp)


@pytest.mark.parametrize(
    ("pixels", "code"), [(images.flat(300, 300), "no_texture"), (images.noise(255, 300), "too_small")]
)
def test_flat_and_small_pictures_are_not_applicable(pixels: np.ndarray, code: str) -> None:
    found = examined(pixels)
    assert (found.outcome, found.reasons[0].code) == (Outcome.NOT_APPLICABLE, code)


def test_it_keeps_the_promises_of_a_detector() -> None:
    check_detector(UpsamplingSpectrum(), views={"decoded": Image(coded=decoded(images.scene(320, 320)))})
