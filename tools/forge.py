"""Makes test forgeries whose truth is known: a patch of one JPEG pasted into another, and honest re-saves beside them.

Everything is seeded and in memory. Coordinates are pixels of the picture, boxes are (x, y, width, height).
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgery:
    """A forged picture and its honest twin, which went through the same saves without the paste."""

    forged: bytes
    clean: bytes
    box: tuple[int, int, int, int]
    shift: tuple[int, int]  # (dx, dy) of the patch's own grid against the picture's; (0, 0): aligned
    qualities: tuple[
        int, int, int | None
    ]  # of the background, of the patch's source (0: none), of the last save (None: PNG)


def jpeg(pixels: Pixels, quality: int, *, subsampling: int = 2) -> bytes:
    """Encode (H, W, 3) as baseline JPEG; subsampling 0 is 4:4:4, 2 is 4:2:0."""
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def pixels_of(data: bytes) -> Pixels:
    """Decode to (H, W, 3), as stored: no orientation is applied."""
    with Pillow.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def smaller(pixels: Pixels, long_side: int) -> Pixels:
    """Shrink so that the longer side is `long_side`; never enlarge. Removes the traces of earlier saves."""
    height, width = pixels.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.LANCZOS))


def save(pixels: Pixels, quality: int | None) -> bytes:
    """JPEG at `quality`, or PNG for None."""
    return png(pixels) if quality is None else jpeg(pixels, quality)


def splice(
    background: Pixels,
    source: Pixels,
    *,
    seed: int,
    size: int,
    qualities: tuple[int, int, int | None],
    aligned: bool = False,
) -> Forgery:
    """Paste a square patch of `source` into `background`, each saved as JPEG before; save again.

    Parameters
    ----------
    background, source : ndarray of uint8, shape (H, W, 3)
        Not modified. `source` must be at least `size` + 8 on either side.
    seed : int
        Chooses where the patch comes from, where it goes and, unless `aligned`, how its grid is shifted.
    size : int
        Side of the patch in pixels.
    qualities : tuple
        JPEG qualities of the background's and the source's first save (a source quality of 0 pastes pixels that were
        never compressed) and of the last save (None: PNG).
    aligned : bool
        Keep the patch's grid on the picture's.
    """
    rng = np.random.default_rng(seed)
    first, other, last = qualities
    base = pixels_of(jpeg(background, first))
    donor = pixels_of(jpeg(source, other)) if other else source
    margin = 16
    x = int(rng.integers(margin, base.shape[1] - size - margin))
    y = int(rng.integers(margin, base.shape[0] - size - margin))
    dx, dy = (0, 0) if aligned else _shift(rng)
    from_x = _origin(rng, donor.shape[1] - size, (x - dx) % 8)
    from_y = _origin(rng, donor.shape[0] - size, (y - dy) % 8)
    composed = base.copy()
    composed[y : y + size, x : x + size] = donor[from_y : from_y + size, from_x : from_x + size]
    return Forgery(
        forged=save(composed, last),
        clean=save(base, last),
        box=(x, y, size, size),
        shift=(dx, dy),
        qualities=qualities,
    )


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    wide = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    both = wide * high
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def _shift(rng: np.random.Generator) -> tuple[int, int]:
    flat = int(rng.integers(1, 64))
    return flat % 8, flat // 8


def _origin(rng: np.random.Generator, room: int, remainder: int) -> int:
    """A start position of at most `room` that leaves `remainder` modulo 8."""
    return remainder + 8 * int(rng.integers(0, (room - remainder) // 8 + 1))
