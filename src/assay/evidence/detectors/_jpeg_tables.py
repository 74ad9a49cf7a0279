"""Where JPEG quantisation tables come from: the standard's, scaled as libjpeg does, or the families of an editor."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL.JpegPresets import presets

# ITU-T T.81, tables K.1 (luminance) and K.2 (chrominance), natural order.
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CORNER = (
    17,
    18,
    24,
    47,
    18,
    21,
    26,
    66,
    24,
    26,
    56,
    99,
    47,
    66,
    99,
    99,
)  # the upper left quarter of K.2; the rest is 99
CHROMINANCE = tuple(_CORNER[4 * y + x] if x < 4 and y < 4 else 99 for y in range(8) for x in range(8))


def scaled(base: tuple[int, ...], quality: int) -> NDArray[np.int64]:
    """Scale a table of the standard as libjpeg does.

    Parameters
    ----------
    base : tuple of int, 64 values
        `LUMINANCE` or `CHROMINANCE`, in natural order.
    quality : int
        1 (coarsest) to 100.

    Returns
    -------
    table : ndarray of int64, shape (64,)
        Quantisation steps, 1 to 255.

    References
    ----------
    Independent JPEG Group, libjpeg 6b, jcparam.c: the meaning of "quality".
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((np.asarray(base, np.int64) * percent + 50) // 100, 1, 255)


def ijg_quality(tables: tuple[tuple[int, ...], ...]) -> int | None:
    """Tell the libjpeg quality that gives exactly these tables.

    Parameters
    ----------
    tables : tuple of tuples of int, 64 values each
        As coded, luminance first, then chrominance where there is one; natural order, quantisation steps.

    Returns
    -------
    quality : int or None
        1 to 100; None where no one quality gives all of them. 100 is all ones, which other encoders write as well.
    """
    coded = {tuple(t) for t in tables}
    fits = (
        q for q, (luma, chroma) in _pairs().items() if tuple(tables[0]) == luma and coded <= {luma, chroma}
    )
    return next(fits, None) if tables else None


@cache
def _pairs() -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Both tables of each quality, finest first."""
    both = {
        q: [tuple(int(v) for v in scaled(base, q)) for base in (LUMINANCE, CHROMINANCE)]
        for q in range(100, 0, -1)
    }
    return {q: (luma, chroma) for q, (luma, chroma) in both.items()}


def photoshop_setting(tables: tuple[tuple[int, ...], ...]) -> str | None:
    """Name the Photoshop setting whose luminance table this is ("Save for Web, high"), as far as they are known here."""
    return _photoshop().get(tuple(tables[0])) if tables else None


@cache
def _photoshop() -> dict[tuple[int, ...], str]:
    """The settings that Pillow knows by name, without those that are the standard's tables as well."""
    found: dict[tuple[int, ...], str] = {}
    standard = {luma for luma, _ in _pairs().values()}
    for name, preset in presets.items():
        table = tuple(int(v) for v in preset["quantization"][0])  # type: ignore[index]
        web = name.startswith("web_")
        words = f"Save for Web, {name.removeprefix('web_')}" if web else name
        if table not in standard:
            found.setdefault(table, words.replace("_", " "))
    return found
