from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from assay.media.pixels import as_rgb
from assay.testing import images

SCENE = images.scene(40, 30)


def converted(picture):
    notes = []
    return *as_rgb(picture, notes), notes


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB", "LA", "RGBA", "PA", "RGBX", "RGBa", "La"]
)
def test_every_mode_gives_three_channels(mode):
    source = (
        Pillow.new("RGBA", (5, 4), (200, 100, 50, 255))
        if mode in ("RGBa", "La", "PA")
        else Pillow.fromarray(SCENE)
    )
    if mode == "La":
        source = source.convert("LA")
    picture = Pillow.new("LAB", (5, 4), (128, 10, 10)) if mode == "LAB" else source.convert(mode)
    coded, alpha, _ = converted(picture)
    assert coded.shape == (picture.height, picture.width, 3)
    assert coded.dtype == np.uint8
    assert (alpha is not None) == (mode in ("LA", "RGBA", "PA", "RGBa", "La"))


@pytest.mark.parametrize("values", [0, 1, 32767, 65535])
def test_sixteen_bits_are_scaled_not_clipped(values):
    coded, _, _ = converted(Pillow.fromarray(np.full((3, 3), values, np.uint16)))
    assert coded[0, 0, 0] == round(values / 257)


def test_sixteen_bit_colour_is_scaled():
    picture = Pillow.open(io.BytesIO(images.png16(SCENE.astype(np.uint16) * 257)))
    assert np.array_equal(converted(picture)[0], SCENE)


@pytest.mark.parametrize("ceiling", [1.0, 255.0, 65535.0])
def test_floats_of_the_usual_scales_are_recognised(ceiling):
    ramp = np.linspace(0, ceiling, 256, dtype=np.float32)[None]
    coded, _, notes = converted(Pillow.fromarray(ramp))
    assert np.array_equal(coded[0, :, 0], np.arange(256))
    assert not notes


def test_floats_of_no_usual_scale_are_stretched_and_said_so():
    coded, _, notes = converted(Pillow.fromarray(np.array([[-3.0, 1.0, 5.0]], np.float32)))
    assert coded[0, :, 0].tolist() == [0, 128, 255]
    assert notes


def test_floats_that_are_no_numbers_are_black():
    coded, _, _ = converted(Pillow.fromarray(np.array([[np.nan, np.inf, -np.inf, 1.0]], np.float32)))
    assert coded[0, :, 0].tolist() == [0, 0, 0, 255]


def test_whole_numbers_beyond_sixteen_bits_are_stretched():
    coded, _, notes = converted(Pillow.fromarray(np.array([[-(2**31), 2**31 - 1]], np.int32)))
    assert coded[0, :, 0].tolist() == [0, 255]
    assert notes


def test_a_transparent_palette_colour_becomes_alpha():
    data = images.saved(Pillow.fromarray(SCENE).convert("P"), "PNG", transparency=3)
    coded, alpha, _ = converted(Pillow.open(io.BytesIO(data)))
    assert coded.shape == SCENE.shape
    assert set(np.unique(alpha)) <= {0, 255}
