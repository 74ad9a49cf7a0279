"""The EXIF thumbnail beside its picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from assay.media.container import thumbnail
from assay.testing import containers, images


def shown(small: Image.Image | np.ndarray, picture: np.ndarray):
    """A JPEG of `picture` with `small` as its thumbnail, read."""
    data = images.jpeg(np.asarray(small), quality=75)
    segment = containers.exif_segment({0x010F: "a"}, thumbnail=data)
    return containers.describe(containers.with_segments(images.jpeg(picture), segment), "image/jpeg")


def scaled(pixels: np.ndarray, width: int, height: int) -> Image.Image:
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def test_a_thumbnail_of_its_picture_is_near_and_of_another_far():
    assert containers.describe(containers.camera_jpeg(), "image/jpeg").thumbnail_distance < 4
    other = containers.camera_jpeg(thumbnail_of=images.scene(320, 240, seed=9))
    assert containers.describe(other, "image/jpeg").thumbnail_distance > 15


def test_the_size_is_that_of_the_thumbnail():
    assert containers.describe(containers.camera_jpeg(), "image/jpeg").thumbnail_size == (160, 120)


def test_bars_above_and_below_do_not_count():
    picture = images.scene(360, 240, seed=1)
    boxed = Image.new("RGB", (160, 120))
    boxed.paste(scaled(picture, 160, 107), (0, 6))
    assert shown(boxed, picture).thumbnail_distance < 4


def test_a_thumbnail_cut_to_another_shape_is_near():
    picture = images.scene(400, 240, seed=2)
    assert shown(scaled(picture[:, 40:360], 160, 120), picture).thumbnail_distance < 4


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_picture_turned_after_its_thumbnail_was_made_is_near(turns):
    picture = images.scene(320, 240, seed=3)
    turned = np.ascontiguousarray(np.rot90(picture, turns))
    assert shown(scaled(picture, 160, 120), turned).thumbnail_distance < 4


def test_something_added_to_the_picture_shows():
    picture = images.scene(320, 240, seed=4)
    edited = picture.copy()
    edited[60:180, 80:200] = 255 - edited[60:180, 80:200]
    near = shown(scaled(picture, 160, 120), picture).thumbnail_distance
    assert shown(scaled(picture, 160, 120), edited).thumbnail_distance > near + 5


def test_a_sample_without_a_thumbnail_has_no_distance():
    container = containers.describe(containers.jpeg(), "image/jpeg")
    assert (container.thumbnail_distance, container.thumbnail_size) == (None, None)


def test_a_broken_thumbnail_is_noticed():
    segment = containers.exif_segment({0x010F: "a"}, thumbnail=b"\xff\xd8\xff\xe0broken")
    container = containers.describe(containers.with_segments(containers.jpeg(), segment), "image/jpeg")
    assert container.thumbnail_distance is None
    assert any(w.startswith("thumbnail") for w in container.warnings)


def test_a_picture_over_the_limit_is_not_decoded():
    container = containers.describe(containers.camera_jpeg(), "image/jpeg", pixels=100)
    assert container.thumbnail_distance is None


def test_the_distance_is_that_of_grey_levels():
    dark, bright = Image.new("L", (64, 48), 60), Image.new("L", (640, 480), 100)
    assert thumbnail.distance(dark, bright) == pytest.approx(40)
