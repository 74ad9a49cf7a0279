"""Which pixels would show a JPEG's grid if they had been compressed with the rest of the picture?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.evidence.kernels import grid
from assay.media.quality import scaled

CONTROL = 95  # quality of the compression that shows which blocks can vote at all
DRAWN = 20  # of the 64 pixels of a block; as many equal ones are drawn (text, interfaces), not photographed
CLIPPED = 4  # of the 64; as many at the end of the scale lost their zeros when the picture was brightened

_K = np.arange(8)
_DCT = np.sqrt(np.where(_K == 0, 1, 2) / 8)[:, None] * np.cos((2 * _K + 1) * _K[:, None] * np.pi / 16)
DCT = np.ascontiguousarray(_DCT, dtype=np.float32)  # orthonormal, of type II


def able(rgb: NDArray[np.uint8], grey: NDArray[np.uint8], origin: int) -> NDArray[np.bool_]:
    """Mark the pixels that vote for `origin` once the picture is compressed on that grid, at quality 95.

    Blocks of fine texture keep no zeros even then, and drawn or clipped ones have zeros in any case: neither can tell
    whether it was compressed before.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (H, W, 3)
        Not modified.
    grey : ndarray of uint8, shape (H, W)
        Its luma. Not modified.
    origin : int
        As `grid.votes` counts them.

    Returns
    -------
    able : ndarray of bool, shape (H, W)
    """
    top, left = divmod(origin, 8)
    high, wide = (grey.shape[0] - top) // 8 * 8, (grey.shape[1] - left) // 8 * 8
    out = np.zeros(grey.shape, bool)
    part = grey[top : top + high, left : left + wide]
    out_of = drawn(part) | clipped(rgb[top : top + high, left : left + wide])
    votes = grid.votes(compressed(part), grid.ZERO_BELOW)
    out[top : top + high, left : left + wide] = (votes == 0) & ~out_of.repeat(8, axis=0).repeat(8, axis=1)
    return out


def compressed(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What is left of luma after a JPEG of quality 95 whose grid starts in the corner; sides are multiples of 8."""
    steps = np.array(scaled(CONTROL), np.float32).reshape(8, 8)
    out = np.empty_like(grey)
    for y in range(0, grey.shape[0], 8):  # a row of blocks at a time: memory stays small
        blocks = grey[y : y + 8].astype(np.float32).reshape(8, -1, 8).transpose(1, 0, 2) - np.float32(128)
        levels = np.rint(DCT @ blocks @ DCT.T / steps) * steps
        row = np.rint(DCT.T @ levels @ DCT + np.float32(128)).clip(0, 255)
        out[y : y + 8] = row.astype(np.uint8).transpose(1, 0, 2).reshape(8, -1)
    return out


def drawn(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which blocks of 8 x 8 hold many equal pixels? (H, W), multiples of 8, to (H / 8, W / 8)."""
    out = np.empty((grey.shape[0] // 8, grey.shape[1] // 8), bool)
    for row in range(out.shape[0]):
        blocks = grey[8 * row : 8 * row + 8].reshape(8, -1, 8).transpose(1, 0, 2).reshape(-1, 64)
        ordered = np.sort(blocks, axis=1)
        out[row] = (ordered[:, DRAWN - 1 :] == ordered[:, : 65 - DRAWN]).any(axis=1)
    return out


def clipped(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which blocks of 8 x 8 touch the end of a channel's scale? (H, W, 3), multiples of 8, to (H / 8, W / 8)."""
    ends = ((rgb == 0) | (rgb == 255)).any(axis=2)
    return counted(ends) >= CLIPPED


def counted(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """How many pixels of each cell of 8 x 8 are marked: (H, W) to (H // 8, W // 8)."""
    rows, columns = mask.shape[0] // 8, mask.shape[1] // 8
    cells = mask[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8)
    return np.ascontiguousarray(cells.sum(axis=(1, 3), dtype=np.int32))
