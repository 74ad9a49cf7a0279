"""How strongly a JPEG was compressed, told from its quantisation table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

# Luminance, natural order: ITU-T T.81, Annex K, table K.1.
LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)


@cache
def scaled(quality: int) -> tuple[int, ...]:
    """The luminance table that libjpeg writes for a quality of 1 to 100, in natural order."""
    factor = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(255, max(1, (value * factor + 50) // 100)) for value in LUMINANCE)


@cache
def _every_table() -> NDArray[np.int64]:
    """The tables of qualities 100 to 1; shape (100, 64)."""
    return np.array([scaled(q) for q in range(100, 0, -1)], np.int64)


def estimated_quality(table: Sequence[int]) -> int:
    """The libjpeg quality (1 to 100) whose luminance table is nearest to `table` (64 values, natural order).

    Nearest by the sum of absolute differences; of equally near ones, the highest.

    Raises
    ------
    ValueError
        If there are not 64 values.
    """
    if len(table) != len(LUMINANCE):
        raise ValueError(f"a quantisation table has {len(LUMINANCE)} values, not {len(table)}")
    distances = np.abs(_every_table() - np.asarray(table, np.int64)).sum(axis=1)
    return 100 - int(distances.argmin())
