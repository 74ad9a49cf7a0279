from __future__ import annotations

import numpy as np
import pytest

from assay.range import shapes
from assay.testing import images


@pytest.mark.parametrize("kind", ["blob", "polygon"])
@pytest.mark.parametrize("seed", range(5))
def test_an_outline_has_about_its_area_and_lies_inside(kind, seed) -> None:
    pixels = images.flat(300, 200)
    inside = shapes.outline(pixels, kind, 3000, np.random.default_rng(seed))
    assert 0.85 * 3000 < inside.sum() < 1.15 * 3000
    edge = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    assert edge.sum() < 12


def test_a_segment_follows_the_picture_s_own_edges() -> None:
    pixels = images.flat(320, 240, value=60)
    truth = np.zeros((240, 320), bool)
    truth[80:160, 100:200] = True
    pixels[truth] = (220, 80, 60)
    found = shapes.segment(pixels, truth.sum(), np.random.default_rng(0))
    assert found is not None
    assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_a_flat_picture_has_no_segment() -> None:
    assert shapes.segment(images.flat(320, 240), 3000, np.random.default_rng(0)) is None


@pytest.mark.parametrize("width", [0, 1, 3, 5])
def test_a_feather_has_its_width(width) -> None:
    inside = np.zeros((60, 60), bool)
    inside[:, 30:] = True
    row = shapes.feathered(inside, width)[30]
    assert row[0] == 0
    assert row[-1] == 1
    assert abs(((row > 0) & (row < 1)).sum() - width) <= 1
    assert row.sum() == pytest.approx(30, abs=0.6)  # it grows to both sides alike


def test_a_ring_lies_around() -> None:
    inside = np.zeros((60, 60), bool)
    inside[20:40, 20:40] = True
    around = shapes.ring(inside, 5)
    assert not (around & inside).any()
    assert around[17, 30]
    assert not around[10, 30]


def test_a_similarity_turns_around_the_centre() -> None:
    matrix = shapes.similarity((10, 20), (50, 60), scale=2, degrees=90)
    assert matrix @ [10, 20, 1] == pytest.approx([50, 60])
    assert np.linalg.norm(matrix @ [11, 20, 1] - [50, 60]) == pytest.approx(2)


def test_a_written_outline_is_short_and_lies_on_the_edge() -> None:
    inside = np.zeros((200, 200), bool)
    inside[20:150, 30:180] = True
    points = shapes.polygon_of(inside)
    assert 4 <= len(points) <= shapes.POINTS
    assert all(x in (30, 179) or y in (20, 149) for x, y in points)
    assert shapes.polygon_of(np.zeros((5, 5), bool)) == []
