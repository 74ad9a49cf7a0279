from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from assay.testing import images

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import forge


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    return images.scene(256, 224, seed=1), images.scene(256, 224, seed=2)


def test_only_the_box_differs_from_the_clean_twin(pair: tuple[np.ndarray, np.ndarray]) -> None:
    made = forge.splice(*pair, seed=1, size=64, qualities=(90, 80, None))
    differs = (forge.pixels_of(made.forged) != forge.pixels_of(made.clean)).any(axis=2)
    x, y, w, h = made.box
    assert differs[y : y + h, x : x + w].mean() > 0.9
    differs[y : y + h, x : x + w] = False
    assert not differs.any()


@pytest.mark.parametrize("aligned", [True, False])
def test_the_patch_keeps_its_grid_or_leaves_it(pair: tuple[np.ndarray, np.ndarray], aligned: bool) -> None:
    shifts = {
        forge.splice(*pair, seed=s, size=64, qualities=(90, 80, 95), aligned=aligned).shift for s in range(8)
    }
    assert (shifts == {(0, 0)}) is aligned
    assert aligned or (0, 0) not in shifts


def test_the_same_seed_makes_the_same_bytes(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = (forge.splice(*pair, seed=5, size=64, qualities=(90, 80, 95)) for _ in range(2))
    assert first == second


def test_overlap_is_intersection_over_union() -> None:
    assert forge.overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert forge.overlap((0, 0, 4, 4), (8, 8, 4, 4)) == 0.0


def test_small_pictures_are_not_enlarged(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert forge.smaller(pair[0], 9999) is pair[0]
    assert forge.smaller(pair[0], 128).shape == (112, 128, 3)
