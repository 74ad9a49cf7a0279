"""Mild re-encodings: their sizes, their windows, their coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from assay.evidence.renditions import BY_NAME, MILD, PIXELS, rendered, size_of, window
from assay.media.quality import estimated_quality
from assay.media.views import Image


def textured(height: int, width: int, seed: int = 1) -> Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return Image(coded=np.ascontiguousarray(np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width]))


@pytest.mark.parametrize("mild", MILD, ids=lambda m: m.name)
def test_a_copy_is_a_jpeg_of_its_quality_and_size(mild):
    view = textured(120, 200)
    copy = rendered(view, mild, None)
    assert (copy.coded.shape[1], copy.coded.shape[0]) == size_of((200, 120), mild, None)
    assert estimated_quality([int(v) for v in copy.planes[0].quantisation.ravel()]) == mild.quality
    assert len(copy.planes) == 3


def test_a_copy_looks_like_the_picture_and_leaves_it_alone():
    view = textured(128, 128)
    before = view.coded.copy()
    copy = rendered(view, BY_NAME["saved again at 92"], None)
    assert np.abs(copy.coded.astype(int) - view.coded).mean() < 12
    assert np.array_equal(view.coded, before)


def test_a_large_picture_is_shrunk_to_a_megapixel_where_no_place_was_named():
    assert window((4000, 3000), None) is None
    width, height = size_of((4000, 3000), MILD[0], None)
    assert PIXELS * 0.98 < width * height < PIXELS * 1.02
    assert abs(width / height - 4 / 3) < 0.01


@pytest.mark.parametrize(
    ("size", "box"),
    [((4000, 3000), (3900, 10, 90, 90)), ((9000, 500), (0, 0, 50, 50)), ((500, 9000), (100, 8000, 300, 900))],
)
def test_a_large_picture_is_cut_out_around_what_was_found(size, box):
    x, y, w, h = window(size, box)
    assert x % 8 == y % 8 == 0
    assert x >= 0
    assert y >= 0
    assert x + w <= size[0]
    assert y + h <= size[1]
    assert w * h <= PIXELS * 1.01
    centre = (box[0] + box[2] / 2, box[1] + box[3] / 2)
    assert x <= centre[0] <= x + w
    assert y <= centre[1] <= y + h


def test_a_cut_keeps_its_pixels():
    view = textured(1200, 1600)
    cut = window((1600, 1200), (800, 600, 10, 10))
    copy = rendered(view, MILD[0], cut)
    x, y, w, h = cut
    assert copy.coded.shape[:2] == (h, w)
    assert np.abs(copy.coded.astype(int) - view.coded[y : y + h, x : x + w]).mean() < 12
