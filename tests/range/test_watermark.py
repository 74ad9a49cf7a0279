from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from assay.range import watermark
from assay.range.laundering import launder
from assay.testing import images

PAYLOADS = (0, 0xFFFFFFFF, 0x5A17C0DE)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return images.scene(512, 384, seed=3)


def half_at_50(pixels: np.ndarray) -> np.ndarray:
    small = Image.fromarray(pixels).resize((pixels.shape[1] // 2, pixels.shape[0] // 2), Image.Resampling.BOX)
    return np.asarray(Image.open(io.BytesIO(launder(np.asarray(small), "jpeg50", seed=0).data)))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_is_laid_in_is_read_after_half_size_and_jpeg_50(picture, payload) -> None:
    marked = watermark.embed(picture, payload)
    for seen in (marked, half_at_50(marked)):
        strength, read = watermark.detect(seen)
        assert read == payload
        assert strength > watermark.PRESENT


def test_the_mark_is_not_seen(picture) -> None:
    before = picture.copy()
    marked = watermark.embed(picture, 1)
    error = np.mean((marked.astype(float) - picture) ** 2)
    assert 10 * np.log10(255**2 / error) > 32  # in a picture that is texture all over
    assert (picture == before).all()


@pytest.mark.parametrize("seed", range(12))
def test_a_picture_without_it_is_not_called_marked(seed) -> None:
    strength, _ = watermark.detect(images.scene(300, 300, seed=seed))
    assert strength < watermark.PRESENT


@pytest.mark.parametrize("pixels", [images.flat(64, 64), images.noise(8, 8), images.flat(1, 1)])
def test_awkward_pictures_have_a_finite_answer(pixels) -> None:
    assert np.isfinite(watermark.detect(pixels)[0])
    assert watermark.detect(pixels)[0] < watermark.PRESENT


@pytest.mark.parametrize("payload", [-1, 1 << 32])
def test_a_payload_has_32_bits(picture, payload) -> None:
    with pytest.raises(ValueError, match="32 bits"):
        watermark.embed(picture, payload)
