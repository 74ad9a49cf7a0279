from __future__ import annotations

import numpy as np
import pytest

from assay.range import blending
from assay.testing import images


@pytest.fixture(scope="module")
def disc() -> np.ndarray:
    y, x = np.mgrid[:160, :200]
    return (x - 90) ** 2 + (y - 80) ** 2 < 40**2


def test_poisson_leaves_the_outside_and_the_mask_alone(disc) -> None:
    host, patch = images.scene(200, 160, seed=1), images.scene(200, 160, seed=2)
    before = disc.copy()
    out = blending.poisson(patch, host, disc)
    assert (disc == before).all()  # the library overwrites what it is given
    assert (out[~disc] == host[~disc]).all()
    assert (out[disc] != host[disc]).any(axis=1).mean() > 0.9


def test_poisson_puts_the_patch_where_it_was(disc) -> None:
    host = images.flat(200, 160, value=100)
    patch = host.copy()
    patch[78:82, 60:120] = 180  # a line of its own
    out = blending.poisson(patch, host, disc).astype(int)
    brightest = out[..., 0].argmax(axis=0)[70:110]
    assert ((brightest >= 77) & (brightest <= 82)).all()


def test_poisson_at_the_picture_s_edge_touches_nothing_it_should_not() -> None:
    host, patch = images.scene(100, 100, seed=1), images.scene(100, 100, seed=2)
    corner = np.zeros((100, 100), bool)
    corner[:30, :30] = True
    out = blending.poisson(patch, host, corner)
    assert (out[~corner] == host[~corner]).all()
    assert (blending.poisson(patch, host, np.zeros((100, 100), bool)) == host).all()


def test_alpha_is_the_patch_where_it_is_opaque(disc) -> None:
    host, patch = images.scene(200, 160, seed=1), images.scene(200, 160, seed=2)
    out = blending.alpha(patch, host, disc.astype(np.float32))
    assert (out[disc] == patch[disc]).all()
    assert (out[~disc] == host[~disc]).all()


def test_whole_shifts_copy_exactly() -> None:
    pixels = images.scene(120, 100, seed=1)
    for how in blending.INTERPOLATION:
        out = blending.moved(pixels, np.array([[1.0, 0, 7], [0, 1.0, -3]]), (120, 100), how)
        assert (out[:97, 7:] == pixels[3:, :-7]).all()


def test_matched_colours_come_near(disc) -> None:
    host = np.clip(images.scene(200, 160, seed=1) * 0.4 + 120, 0, 255).astype(np.uint8)
    patch = (images.scene(200, 160, seed=2) * 0.3).astype(np.uint8)
    out = blending.colours_matched(patch, disc, host, ~disc, 1.0)

    def apart(p):
        return np.abs(p[disc].mean(axis=0) - host[~disc].mean(axis=0)).max()

    assert apart(out) < 0.3 * apart(patch)
    assert (blending.colours_matched(patch, disc, host, ~disc, 0.0).astype(int) - patch).std() < 2


@pytest.mark.parametrize("level", [2.0, 6.0])
def test_grain_is_measured(level) -> None:
    rng = np.random.default_rng(0)
    ground = images.gradient(200, 160) * 0.5 + 60
    noisy = np.clip(ground + rng.normal(0, level, (160, 200, 1)), 0, 255).round().astype(np.uint8)
    assert blending.grain(noisy, np.ones((160, 200), bool)) == pytest.approx(level, rel=0.15)
