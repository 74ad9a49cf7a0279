"""The makers of pictures make what they say, the same each time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from assay.testing import images


@pytest.mark.parametrize(
    "maker", [images.noise, images.gradient, images.checkerboard, images.scene, images.flat]
)
def test_a_picture_has_its_size_and_is_the_same_each_time(maker):
    made = maker(37, 23)
    assert made.shape == (23, 37, 3)
    assert made.dtype == np.uint8
    assert np.array_equal(made, maker(37, 23))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 9), (16, 3)])
def test_a_scene_may_be_tiny(size):
    assert images.scene(*size).shape == (size[1], size[0], 3)


def test_a_scene_depends_on_its_seed():
    assert not np.array_equal(images.scene(20, 20, seed=1), images.scene(20, 20, seed=2))


def test_a_scene_has_less_power_at_high_frequencies():
    power = np.abs(np.fft.fft2(images.scene(128, 128)[..., 1].astype(float))) ** 2
    assert power[1:4, 1:4].mean() > 100 * power[40:60, 40:60].mean()


def test_jpegs_are_as_asked():
    data = images.jpeg(images.scene(64, 48), progressive=True, orientation=6, subsampling="4:4:4")
    picture = Image.open(io.BytesIO(data))
    assert picture.info["progressive"]
    assert picture.getexif()[images.ORIENTATION] == 6
    assert b"\xff\xdd" in images.jpeg(images.scene(64, 48), restart_blocks=2)
    assert Image.open(io.BytesIO(images.cmyk_jpeg(images.scene(8, 8)))).mode == "CMYK"


def test_text_chunks_are_written():
    data = images.png(images.flat(4, 4), text={"parameters": "a cat"})
    assert Image.open(io.BytesIO(data)).text == {"parameters": "a cat"}


def test_sixteen_bit_values_come_back():
    values = np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(images.png16(values)))), values)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animations_have_their_frames(kind):
    frames = [images.flat(8, 8, value=60 * n) for n in range(4)]
    assert Image.open(io.BytesIO(images.animation(frames, kind))).n_frames == 4
