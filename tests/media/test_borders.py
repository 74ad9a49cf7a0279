"""Pictures within plain borders are found, and nothing is cut from those that have none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image as Pillow

from assay.media.borders import within_borders
from assay.range import laundering
from assay.testing import images

Pixels = NDArray[np.uint8]


def scene(width: int = 640, height: int = 480, seed: int = 3) -> Pixels:
    return np.asarray(images.scene(width, height, seed=seed))


def framed(
    inner: Pixels, top: int, left: int, bottom: int, right: int, tone: int | tuple[int, int, int] = 0
) -> Pixels:
    height, width = inner.shape[:2]
    whole = np.full((height + top + bottom, width + left + right, 3), tone, np.uint8)
    whole[top : top + height, left : left + width] = inner
    return whole


def coded(pixels: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Pillow.open(file).convert("RGB"))


def assert_close(box: tuple[int, int, int, int] | None, x: int, y: int, wide: int, high: int) -> None:
    assert box is not None
    slack = 0.02 * max(wide, high)
    edges = (box[0], box[1], box[0] + box[2], box[1] + box[3])
    for found, true in zip(edges, (x, y, x + wide, y + high), strict=True):
        assert abs(found - true) <= slack
    assert box[0] >= x
    assert box[1] >= y


@pytest.mark.parametrize("tone", [0, 255, (28, 28, 30), (240, 242, 245)])
@pytest.mark.parametrize("sides", [(60, 0, 60, 0), (0, 90, 0, 90), (100, 80, 40, 60), (0, 0, 70, 0)])
def test_a_letterbox_is_cut_off_and_its_picture_found(
    sides: tuple[int, int, int, int], tone: int | tuple[int, int, int]
) -> None:
    whole = framed(scene(), *sides, tone)
    before = whole.copy()
    assert_close(within_borders(whole), sides[1], sides[0], 640, 480)
    assert np.array_equal(whole, before)


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_lossy_saves_leave_the_borders_findable(quality: int) -> None:
    assert_close(within_borders(coded(framed(scene(), 100, 80, 40, 60), quality)), 80, 100, 640, 480)


def test_large_pictures_are_found_as_small_ones_are() -> None:
    assert_close(within_borders(framed(scene(2400, 1800), 300, 250, 301, 252)), 250, 300, 2400, 1800)


def test_most_screenshots_are_cut_to_what_they_show() -> None:
    found = 0
    for seed in range(20):
        picture = scene(*((900, 700), (600, 900))[seed % 2], seed=seed)
        shot = laundering.launder(picture, "screenshot", seed=seed, mask=np.ones(picture.shape[:2], bool))
        pixels = np.asarray(Pillow.open(io.BytesIO(shot.data)).convert("RGB"))
        box = within_borders(pixels)
        if box is not None:
            x, y, wide, high = box
            assert shot.mask is not None
            inside = shot.mask[y : y + high, x : x + wide]
            assert inside.mean() > 0.99
            assert inside.sum() > 0.95 * shot.mask.sum()
            found += 1
    assert found >= 18


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_without_borders_stays_whole(seed: int) -> None:
    assert within_borders(scene(seed=seed)) is None


def test_noise_a_plain_page_and_a_round_thing_on_white_are_no_pictures_within_borders() -> None:
    rng = np.random.default_rng(0)
    assert within_borders(rng.integers(0, 256, (300, 400, 3)).astype(np.uint8)) is None
    assert within_borders(np.full((300, 400, 3), 200, np.uint8)) is None
    y, x = np.mgrid[:300, :400]
    thing = np.where(((x - 200) ** 2 + (y - 150) ** 2 < 110**2)[..., None], scene(400, 300), 255)
    assert within_borders(thing.astype(np.uint8)) is None


def test_the_bars_of_a_window_are_no_pictures_however_large() -> None:
    whole = framed(scene(300, 200), 420, 700, 460, 900, 250)
    whole[:90], whole[-70:] = (222, 225, 230), (210, 212, 216)
    assert_close(within_borders(whole), 700, 420, 300, 200)


def test_a_window_in_a_wall_is_no_picture_within_borders() -> None:
    wall = scene(900, 700).copy()
    wall[100:400, 200:500] = 20
    wall[180:320, 260:440] = scene(180, 140, seed=5)
    assert within_borders(wall) is None


def test_a_stamp_on_a_page_is_too_small_to_stand_for_it() -> None:
    assert within_borders(framed(scene(100, 80), 300, 300, 300, 300)) is None


@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)),
        elements=st.sampled_from([0, 1, 128, 255]),
    )
)
def test_any_picture_gets_a_box_inside_of_it_or_none(pixels: Pixels) -> None:
    box = within_borders(pixels)
    if box is not None:
        x, y, wide, high = box
        assert x >= 0 <= y
        assert wide > 0 < high
        assert x + wide <= pixels.shape[1]
        assert y + high <= pixels.shape[0]
