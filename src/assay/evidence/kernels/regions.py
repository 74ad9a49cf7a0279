"""Where do counts crowd together? Windows, connected cells and their outlines on a coarse grid."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from assay.media.compiled import compiled

N = TypeVar("N", np.int32, np.float64)


@compiled("int32[:, ::1](Array(int32, 2, 'C', True))")
def summed(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Summed-area table with a zero row and column in front: (R, C) to (R + 1, C + 1)."""
    rows, columns = values.shape
    out = np.zeros((rows + 1, columns + 1), np.int32)
    for y in range(rows):
        line = np.int32(0)
        for x in range(columns):
            line += values[y, x]
            out[y + 1, x + 1] = out[y, x + 1] + line
    return out


@compiled("int32(Array(int32, 2, 'C', True), int64, int64)")
def greatest(table: NDArray[np.int32], high: int, wide: int) -> np.int32:
    """The greatest sum of any window of `high` x `wide` cells; `table` is the summed-area table."""
    best = np.int32(-2147483648)
    for y in range(table.shape[0] - high):
        above, below = table[y], table[y + high]
        for x in range(table.shape[1] - wide):
            total = below[x + wide] - below[x] - above[x + wide] + above[x]
            best = max(best, total)
    return best


def place_of(table: NDArray[np.int32], high: int, wide: int, total: int) -> tuple[int, int]:
    """Upper left cell of the first window of `high` x `wide` cells whose sum is `total`."""
    sums = table[high:, wide:] - table[high:, :-wide] - table[:-high, wide:] + table[:-high, :-wide]
    top, left = np.unravel_index(int((sums == total).argmax()), sums.shape)
    return int(top), int(left)


@compiled("int32[:, ::1](Array(uint8, 2, 'C', True))")
def connected(mask: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Number the 8-connected groups of nonzero cells from 1, in reading order; 0 elsewhere."""
    rows, columns = mask.shape
    out = np.zeros((rows, columns), np.int32)
    stack = np.empty(rows * columns, np.int64)
    found = 0
    for start in range(rows * columns):
        if mask[start // columns, start % columns] == 0 or out[start // columns, start % columns] != 0:
            continue
        found += 1
        out[start // columns, start % columns] = found
        stack[0] = start
        depth = 1
        while depth > 0:
            depth -= 1
            cell = stack[depth]
            y, x = cell // columns, cell % columns
            for j in range(max(0, y - 1), min(rows, y + 2)):
                for i in range(max(0, x - 1), min(columns, x + 2)):
                    if mask[j, i] != 0 and out[j, i] == 0:
                        out[j, i] = found
                        stack[depth] = j * columns + i
                        depth += 1
    return out


def shapes(rows: int, columns: int, sides: tuple[int, ...]) -> list[tuple[int, int]]:
    """Windows of these sides in cells: squares and 1:2 oblongs both ways.

    Only windows of at most half of the picture are listed: what fills more than that is the picture, not a region.
    """
    every = {(a, b) for a in sides for b in (a, 2 * a)} | {(2 * a, a) for a in sides}
    return sorted(s for s in every if s[0] <= rows and s[1] <= columns and 2 * s[0] * s[1] <= rows * columns)


def halved(counts: NDArray[N]) -> NDArray[N]:
    """Add up squares of 2 x 2 cells; an odd last row or column is dropped."""
    rows, columns = counts.shape[0] // 2 * 2, counts.shape[1] // 2 * 2
    even = counts[:rows, :columns]
    total: NDArray[N] = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return total


def grown(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Set the 8 neighbours of every nonzero cell, too."""
    padded = np.pad(mask, 1)
    rows, columns = mask.shape
    out = np.zeros_like(mask)
    for y in range(3):
        for x in range(3):
            np.maximum(out, padded[y : y + rows, x : x + columns], out=out)
    return out


@compiled(
    "UniTuple(float64, 3)(Array(int32, 2, 'C', True), Array(int32, 2, 'C', True), Array(float64, 2, 'C', True), "
    "int64, int64, int64)"
)
def most_surprising(
    hits: NDArray[np.int32],
    trials: NDArray[np.int32],
    expected: NDArray[np.float64],
    high: int,
    wide: int,
    fewest: int,
) -> tuple[float, float, float]:
    """The window in which hits among trials are least likely to be chance: (strength in nats, top, left).

    `hits`, `trials` and `expected` (the sum of each trial's own chance) are summed-area tables; windows with fewer than
    `fewest` trials are left out. The strength is Hoeffding's ``n KL(k / n, p)`` with the mean chance p, which holds
    for trials of unequal chances, too; see `significance.log10_tail`.
    """
    best, place_y, place_x = 0.0, 0, 0
    for y in range(hits.shape[0] - high):
        for x in range(hits.shape[1] - wide):
            n = trials[y + high, x + wide] - trials[y, x + wide] - trials[y + high, x] + trials[y, x]
            k = hits[y + high, x + wide] - hits[y, x + wide] - hits[y + high, x] + hits[y, x]
            if n < fewest or k == 0:
                continue
            e = expected[y + high, x + wide] - expected[y, x + wide] - expected[y + high, x] + expected[y, x]
            if k <= e:
                continue
            strength = k * np.log(k / e)
            if k < n:
                strength += (n - k) * np.log((n - k) / (n - e))
            if strength > best:
                best, place_y, place_x = strength, y, x
    return best, float(place_y), float(place_x)
