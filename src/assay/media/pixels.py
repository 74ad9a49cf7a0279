"""From any of Pillow's modes to eight bits of red, green and blue, and alpha where there is one."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What Pillow and its plug-ins raise on hostile bytes.
BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError,
    AssertionError, NotImplementedError, RuntimeError, struct.error, zlib.error,
)  # fmt: skip
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


def as_rgb(picture: Pillow.Image, notes: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Bring a loaded picture to three channels of eight bits.

    Parameters
    ----------
    picture : PIL.Image.Image
        Of any mode; loaded.
    notes : list of str
        Gets a sentence where the conversion had to guess.

    Returns
    -------
    coded : ndarray of uint8, shape (H, W, 3)
        sRGB-like. Deeper channels are scaled, not clipped.
    alpha : ndarray of uint8, shape (H, W), or None
        Opacity, where the picture has any.
    """
    mode = picture.mode
    if mode.startswith("I") or mode == "F":
        grey = _scaled(np.asarray(picture), mode, notes)
        return np.repeat(grey[..., None], 3, axis=-1), None
    if mode in WITH_ALPHA or picture.has_transparency_data:
        four = np.asarray((picture.convert("LA") if mode == "La" else picture).convert("RGBA"))
        return np.ascontiguousarray(four[..., :3]), np.ascontiguousarray(four[..., 3])
    if mode == "LAB":
        notes.append("the picture is in CIELAB; its lightness alone was examined")
        picture = picture.getchannel("L")
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB")), None


def _scaled(values: NDArray[Any], mode: str, notes: list[str]) -> NDArray[np.uint8]:
    """Scale deep or floating grey values (H, W) to 0-255."""
    if mode.startswith("I;16"):
        return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    ceilings = (65535.0,) if mode == "I" else (1.0, 255.0, 65535.0)  # the usual scales
    ceiling = next((c for c in ceilings if low >= 0 and high <= c), None)
    if ceiling is None:
        notes.append("the picture's values have no usual range; they were stretched from smallest to largest")
        return np.rint((finite - low) * (255 / max(high - low, 1e-30))).astype(np.uint8)
    return np.rint(finite * (255 / ceiling)).astype(np.uint8)
