from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from assay.evidence.kernels import grid, holes
from assay.testing import images


def scene() -> np.ndarray:
    return np.ascontiguousarray(images.scene(256, 192, seed=1))


def able(rgb: np.ndarray, origin: int) -> np.ndarray:
    return holes.able(rgb, grid.luma(rgb), origin)


def test_the_control_compression_is_that_of_libjpeg() -> None:
    plain = grid.luma(scene())
    file = io.BytesIO()
    Pillow.fromarray(plain).save(file, "JPEG", quality=holes.CONTROL)
    theirs = np.asarray(Pillow.open(file)).astype(int)
    away = np.abs(holes.compressed(plain).astype(int) - theirs)
    assert (
        away <= 1
    ).mean() > 0.95  # their transforms are in integers: a level at a tie may fall to the other side
    assert away.max() <= 8


def test_the_transform_keeps_energy() -> None:
    assert np.allclose(holes.DCT @ holes.DCT.T, np.eye(8), atol=1e-6)


@pytest.mark.parametrize("origin", [0, 5, 40, 63])
def test_smooth_texture_can_vote_on_any_grid(origin: int) -> None:
    found = able(scene(), origin)
    assert found.mean() > 0.5
    top, left = divmod(origin, 8)
    assert not found[:top].any()
    assert not found[:, :left].any()


def test_brightened_and_clipped_blocks_are_left_out() -> None:
    rgb = scene()
    rgb[64:128, 64:128, 2] = 255  # one channel is enough
    assert holes.clipped(rgb)[8:16, 8:16].all()
    assert not able(rgb, 0)[64:128, 64:128].any()


def test_drawn_blocks_are_left_out() -> None:
    plain = grid.luma(scene())
    plain[:8, :8] = 255
    plain[64:72, 64:72][:3] = 31  # 24 pixels of one value: a stroke of text
    plain[120:128, 40:48] = np.arange(64, dtype=np.uint8).reshape(8, 8)
    found = holes.drawn(plain)
    assert found[0, 0]
    assert found[8, 8]
    assert not found[15, 5]


def test_pixels_are_counted_in_cells() -> None:
    mask = np.zeros((20, 17), bool)
    mask[0:8, 0:3] = True
    assert holes.counted(mask).tolist() == [[24, 0], [0, 0]]
