from __future__ import annotations

import numpy as np
import pytest

from assay.evidence.kernels import grid
from assay.testing import images

BASIS = np.array(
    [
        [np.sqrt((1 if k == 0 else 2) / 8) * np.cos((2 * n + 1) * k * np.pi / 16) for n in range(8)]
        for k in range(8)
    ]
)


def plain_votes(grey: np.ndarray) -> np.ndarray:
    """The same rule, written down slowly; -1 where a coefficient is too near to the limit to tell."""
    height, width = grey.shape
    keys = np.zeros((height - 7, width - 7), int)
    unsure = np.zeros(keys.shape, bool)
    for y in range(height - 7):
        for x in range(width - 7):
            block = grey[y : y + 8, x : x + 8].astype(float)
            magnitudes = np.abs(BASIS @ block @ BASIS.T)
            striped = (block == block[:, :1]).all() or (block == block[:1]).all()
            keys[y, x] = 2 * (magnitudes < 0.5).sum() + striped
            unsure[y, x] = (np.abs(magnitudes - 0.5) < 1e-4).any()
    out = np.full(grey.shape, grid.NO_VOTE)
    for y in range(7, height - 7):
        for x in range(7, width - 7):
            around = keys[y - 7 : y + 1, x - 7 : x + 1]
            most = (around >> 1).max()
            winners = np.argwhere(around >> 1 == most)
            if unsure[y - 7 : y + 1, x - 7 : x + 1].any():
                out[y, x] = -1
            elif len(winners) == 1 and most > 0 and not around[tuple(winners[0])] & 1:
                out[y, x] = 8 * ((y - 7 + winners[0][0]) % 8) + (x - 7 + winners[0][1]) % 8
    return out


def test_votes_are_those_of_the_plain_rule() -> None:
    pixels = images.scene(48, 40, seed=1)
    pixels[20:32] = (pixels[20:32] // 24) * 24
    pixels[:, 30:] = 90
    grey = grid.luma(pixels)
    expected = plain_votes(grey)
    told = expected >= 0
    assert told.mean() > 0.5
    assert np.array_equal(grid.votes(grey, grid.ZERO_BELOW)[told], expected[told])


def test_luma_is_that_of_jfif() -> None:
    pixels = images.noise(40, 30)
    expected = np.rint(pixels @ np.array([0.299, 0.587, 0.114]))
    assert np.abs(grid.luma(pixels) - expected).max() <= 1


@pytest.mark.parametrize("pixels", [images.flat(40, 40), np.repeat(images.noise(1, 40), 40, axis=1)])
def test_flat_and_striped_pictures_do_not_vote(pixels: np.ndarray) -> None:
    ballots = grid.votes(grid.luma(np.ascontiguousarray(pixels)), grid.ZERO_BELOW)
    assert (ballots == grid.NO_VOTE).all()


def test_cells_count_every_vote_of_whole_cells() -> None:
    ballots = np.full((20, 25), grid.NO_VOTE, np.uint8)
    ballots[3, 9], ballots[8:16, 0:8], ballots[19, 24] = 5, 63, 7
    cells = grid.tally(ballots)
    assert cells.shape == (64, 2, 3)
    assert (int(cells[5, 0, 1]), int(cells[63, 1, 0]), int(cells.sum())) == (1, 64, 65)
