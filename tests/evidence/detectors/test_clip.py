"""What the encoder is shown: the whole picture, or the one that stands within its plain borders, upright."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from assay.evidence.detectors._clip import SIDE, Square, reduced, squared, tensor
from assay.media.views import Image
from assay.types import Finding


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def blobs(height: int, width: int) -> NDArray[np.uint8]:
    return np.asarray(Pillow.fromarray(noise(8, 8)).resize((width, height), Pillow.Resampling.BICUBIC))


def bordered(height: int, width: int, top: int, left: int) -> NDArray[np.uint8]:
    """On a white page, as far from its lower right corner as from its upper left one."""
    whole = np.full((height + 2 * top, width + 2 * left, 3), 255, np.uint8)
    whole[top : top + height, left : left + width] = noise(height, width)
    return whole


def test_the_whole_picture_is_shown() -> None:
    square = squared(Image(coded=blobs(300, 400)), 64)
    assert isinstance(square, Square)
    assert square.box == (0, 0, 400, 300)
    assert square.reasons == ()
    assert np.array_equal(square.pixels, reduced(blobs(300, 400)))


@pytest.mark.parametrize(("orientation", "box"), [(1, (40, 60, 400, 300)), (6, (60, 40, 300, 400))])
def test_a_picture_within_borders_is_shown_alone_and_upright(
    orientation: int, box: tuple[int, int, int, int]
) -> None:
    view = Image(coded=bordered(300, 400, 60, 40), orientation=orientation)
    square = squared(view, 64)
    assert isinstance(square, Square)
    assert square.box == pytest.approx(box, abs=4)
    assert [r.code for r in square.reasons] == ["within_borders"]
    x, y, wide, high = (round(v) for v in square.box)
    alone = reduced(view.upright[y : y + high, x : x + wide])
    assert np.abs(square.pixels.astype(int) - alone.astype(int)).max() <= 1


def test_what_stands_within_borders_but_is_too_small_does_not_stand_for_the_whole() -> None:
    square = squared(Image(coded=bordered(200, 300, 60, 40)), 256)
    assert isinstance(square, Square)
    assert square.box == (0, 0, 380, 320)


def test_a_strip_with_a_picture_in_it_is_judged_by_the_picture() -> None:
    tall = bordered(300, 300, 800, 0)
    square = squared(Image(coded=tall), 64)
    assert isinstance(square, Square)
    assert square.box[2:] == pytest.approx((300, 300), abs=16)
    strip = squared(Image(coded=noise(300, 1900)), 64)
    assert isinstance(strip, Finding)
    assert strip.reasons[0].code == "too_narrow"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_after_the_reduction_is_turning_before_it(orientation: int) -> None:
    view = Image(coded=blobs(230, 410), orientation=orientation)
    late = reduced(view.coded, orientation).astype(int)
    early = reduced(view.upright).astype(int)
    assert np.abs(late - early).max() <= 1


def test_a_picture_of_the_encoders_size_is_taken_as_it_is() -> None:
    picture = noise(SIDE, SIDE)
    assert np.array_equal(reduced(picture), picture)


def test_a_large_picture_is_reduced_nearly_as_by_the_slow_way() -> None:
    picture = blobs(1800, 2400)
    slow = Pillow.fromarray(picture).resize((SIDE, SIDE), Pillow.Resampling.BICUBIC)
    assert np.abs(reduced(picture).astype(int) - np.asarray(slow).astype(int)).max() <= 2


def test_the_encoders_input_is_normalised_per_channel() -> None:
    x = tensor(np.full((SIDE, SIDE, 3), 255, np.uint8))
    assert x.shape == (1, 3, SIDE, SIDE)
    assert x.dtype == np.float32
    assert x[0, :, 0, 0] == pytest.approx([1.9303, 2.0749, 2.1459], abs=1e-3)
