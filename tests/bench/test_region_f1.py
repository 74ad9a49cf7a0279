from __future__ import annotations

import numpy as np
import pytest

from assay.bench import regions
from assay.types import Region


def box(x, y, w, h, *, size=(100, 60)):
    return Region.box(x, y, w, h, width=size[0], height=size[1])


def test_a_box_covers_the_pixels_that_it_names():
    inside = regions.rasterised([box(10, 20, 30, 15)], (60, 100))
    assert inside.sum() == 30 * 15
    assert inside[20:35, 10:40].all()


def test_the_whole_picture_and_more_is_the_whole_picture():
    assert regions.rasterised([box(-5, -5, 200, 200)], (60, 100)).all()


def test_overlapping_regions_count_once_and_other_sizes_are_scaled():
    assert regions.rasterised([box(0, 0, 20, 20), box(10, 0, 20, 20)], (60, 100)).sum() == 30 * 20
    assert regions.rasterised([box(0, 0, 50, 60)], (30, 50)).sum() == 25 * 30


def test_f1_by_hand():
    mask = np.zeros((60, 100), bool)
    mask[:, :50] = True
    assert regions.f1([box(0, 0, 50, 60)], mask) == 1.0
    assert regions.f1([box(0, 0, 100, 60)], mask) == pytest.approx(2 / 3)
    assert regions.f1([box(50, 0, 50, 60)], mask) == 0.0
    assert regions.f1([], mask) == 0.0  # nothing was found
    assert regions.f1([box(0, 0, 50, 60)], np.zeros((60, 100), bool)) is None  # cut away


def test_a_triangle_is_half_of_its_box():
    corner = Region(((0, 0), (100, 0), (0, 60)), 100, 60)
    assert regions.rasterised([corner], (60, 100)).mean() == pytest.approx(0.5, abs=0.02)


def test_points_and_lines_enclose_nothing():
    assert not regions.rasterised([Region(((1, 1), (5, 5)), 100, 60)], (60, 100)).any()
