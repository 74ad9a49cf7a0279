from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from assay.media.animation import count_frames, gif_frames
from assay.media.image import plug_in
from assay.testing import images

FRAMES = [images.scene(40, 30, seed=n) for n in range(5)]
LIMITS = {"frames": 100}


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_frames_are_counted(kind):
    plug_in()
    file = io.BytesIO(images.animation(FRAMES, kind))
    picture = Pillow.open(file)
    assert count_frames(picture, file, LIMITS) == 5
    picture.load()  # counting has not moved the file under the decoder


def test_no_more_frames_are_counted_than_allowed():
    file = io.BytesIO(images.animation(FRAMES))
    assert count_frames(Pillow.open(file), file, {"frames": 3}) == 3


def test_pages_of_a_tiff_are_counted_and_the_first_stays_open():
    file = io.BytesIO(images.animation(FRAMES, "TIFF"))
    picture = Pillow.open(file)
    assert count_frames(picture, file, LIMITS) == 5
    assert (np.asarray(picture) == FRAMES[0]).all()


def test_directories_that_go_round_in_a_circle_end():
    data = bytearray(images.encoded(FRAMES[0], "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    after = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[after : after + 4] = first.to_bytes(4, "little")
    file = io.BytesIO(bytes(data))
    assert count_frames(Pillow.open(file), file, {"frames": 10**6}) <= 256


@pytest.mark.parametrize("cut", range(0, 3000, 97))
def test_a_gif_that_breaks_off_has_one_frame_at_least(cut):
    assert 1 <= gif_frames(io.BytesIO(images.animation(FRAMES)[:cut]), 100) <= 5
