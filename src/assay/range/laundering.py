"""What happens to media on their way: saves, resizes, social networks, screenshots; the sound's part is in `sound`.

Everything is drawn from the name and the seed alone: the same pixels, name and seed give the same bytes, and a fake
and its bona fide twin of one size go through the very same steps. One encoder writes everything, Pillow's, without
metadata.
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

VERSION = 1  # raise it whenever any output can change: what was measured on laundered media is void then

IMAGE = ("jpeg95", "jpeg90", "jpeg75", "jpeg50", "half", "social", "screenshot", "crop", "webp")
AUDIO = ("wav", "mp3", "opus", "narrow")
JPEG = re.compile(r"jpeg([1-9][0-9]?|100)")
WEBP_LONGEST = 16383  # pixels of a side, RFC 9649
SCREENS = ((1920, 1080), (1366, 768), (1536, 864), (1440, 900), (1280, 800))  # pixels of common displays
PHONES = ((1080, 2340), (1170, 2532), (1080, 1920), (720, 1600))

Resampling = Image.Resampling


@dataclass(frozen=True, slots=True)
class Laundered:
    """Encoded bytes, and the mask carried through the same geometry (None where none was given, and of sound)."""

    data: bytes
    media_type: str
    mask: NDArray[np.bool_] | None = None


@dataclass(slots=True)
class _Scene:
    """A picture on its way, and its mask as 0 or 255."""

    picture: Image.Image
    mask: Image.Image | None

    def resized(self, size: tuple[int, int], how: Resampling) -> _Scene:
        if size == self.picture.size:
            return self
        mask = None if self.mask is None else self.mask.resize(size, Resampling.BOX)
        return _Scene(self.picture.resize(size, how), mask)

    def cropped(self, box: tuple[int, int, int, int]) -> _Scene:
        return _Scene(self.picture.crop(box), None if self.mask is None else self.mask.crop(box))

    def saved(self, kind: str, **options: Any) -> Laundered:
        file = io.BytesIO()
        self.picture.save(file, kind, **options)
        mask = None if self.mask is None else np.asarray(self.mask) >= 128
        return Laundered(file.getvalue(), f"image/{kind.lower()}", mask)


def names(media_family: str) -> tuple[str, ...]:
    """The launderings of a family of media ("image", "audio"); none for others."""
    return {"image": IMAGE, "audio": AUDIO}.get(media_family, ())


def is_one(name: str, media_family: str) -> bool:
    """Is there such a laundering of a family of media? Of pictures "jpeg1" to "jpeg100" are all."""
    return name in names(media_family) or (media_family == "image" and JPEG.fullmatch(name) is not None)


def launder(
    pixels: NDArray[np.uint8], name: str, *, seed: int, mask: NDArray[np.bool_] | None = None
) -> Laundered:
    """Send a picture through one laundering.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        The upright picture. Not modified.
    name : str
        One of ``names("image")``, or ``jpegQ`` with any quality Q from 1 to 100.
    seed : int
        What is random (scales, places, qualities) is drawn from it and the name.
    mask : ndarray of bool, shape (H, W), optional
        What was changed. It goes through the same geometry: a pixel is set where at least half of what it covers was.
        A crop may leave nothing of it.

    Returns
    -------
    laundered : Laundered
        The encoded picture; its mask has the encoded picture's size.

    Raises
    ------
    AssayError
        If there is no such laundering, or its format cannot hold a picture of this size.
    ValueError
        If the shapes are wrong.
    """
    way = _way(name)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ValueError(f"pixels are (H, W, 3) uint8, not {pixels.shape} {pixels.dtype}")
    if mask is not None and mask.shape != pixels.shape[:2]:
        raise ValueError(f"the mask is {mask.shape}, the picture {pixels.shape[:2]}")
    carried = None if mask is None else Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    return way(_Scene(Image.fromarray(np.ascontiguousarray(pixels)), carried), draws(name, seed))


def draws(name: str, seed: int) -> np.random.Generator:
    """Give the generator that a laundering draws from."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def unknown(name: str, family: str) -> AssayError:
    more = ", or jpeg1 to jpeg100" if family == "image" else ""
    return AssayError(
        f"there is no laundering {name[:80]!r}",
        code="laundering",
        hint=f"Of {family} there are {', '.join(names(family))}{more}.",
    )


def _way(name: str) -> Callable[[_Scene, np.random.Generator], Laundered]:
    if JPEG.fullmatch(name):
        quality = int(name.removeprefix("jpeg"))
        return lambda scene, _: _jpeg(scene, quality)
    if name not in _WAYS:
        raise unknown(name, "image")
    return _WAYS[name]


def _jpeg(scene: _Scene, quality: int) -> Laundered:
    return scene.saved("JPEG", quality=quality, subsampling="4:2:0")


def _half(scene: _Scene, rng: np.random.Generator) -> Laundered:
    width, height = scene.picture.size
    how = Resampling.BOX if rng.random() < 0.5 else Resampling.LANCZOS
    return _jpeg(scene.resized((max(1, width // 2), max(1, height // 2)), how), 90)


def _social(scene: _Scene, rng: np.random.Generator) -> Laundered:
    """Shrink to the network's longest side, sharpen sometimes, save once or twice at a middling quality."""
    width, height = scene.picture.size
    longest = max(width, height)
    scale = min(1.0, float(rng.uniform(1280, 1600)) / longest)
    # Smaller pictures are shrunk half of the time, as previews are, but never below 640 pixels.
    preview, shrinks = float(rng.uniform(0.6, 1.0)), rng.random() < 0.5
    if scale == 1.0 and shrinks:
        scale = min(1.0, max(preview, 640 / longest))
    how = Resampling.LANCZOS if rng.random() < 0.5 else Resampling.BICUBIC
    scene = scene.resized((max(1, round(width * scale)), max(1, round(height * scale))), how)
    strength, sharpens = int(rng.integers(20, 50)), rng.random() < 0.4
    if sharpens:
        scene.picture = scene.picture.filter(ImageFilter.UnsharpMask(0.8, strength, 0))
    qualities = [int(q) for q in rng.integers(71, 86, int(rng.integers(1, 3)))]
    for quality in qualities[:-1]:
        between = _jpeg(scene, quality).data
        scene.picture = Image.open(io.BytesIO(between)).convert("RGB")
    return _jpeg(scene, qualities[-1])


def _crop(scene: _Scene, rng: np.random.Generator) -> Laundered:
    """Keep 70-95 % of each side, starting off the grid of 8 x 8 blocks."""
    width, height = scene.picture.size
    spans = []
    for side in (width, height):
        length = max(1, round(side * float(rng.uniform(0.70, 0.95))))
        starts = [s for s in range(side - length + 1) if s % 8] or [0]
        spans.append((starts[int(rng.integers(len(starts)))], length))
    (x, w), (y, h) = spans
    return _jpeg(scene.cropped((x, y, x + w, y + h)), 90)


def _webp(scene: _Scene, _rng: np.random.Generator) -> Laundered:
    if max(scene.picture.size) > WEBP_LONGEST:
        raise AssayError(
            f"a picture of {scene.picture.width} x {scene.picture.height} pixels does not fit into WebP",
            code="laundering",
            hint=f"Its sides are at most {WEBP_LONGEST} pixels: shrink it first.",
        )
    return scene.saved("WEBP", quality=80, method=4)


def _screenshot(scene: _Scene, rng: np.random.Generator) -> Laundered:
    """Show it in a window or an app on a display, at some scale, and photograph that display as PNG."""
    width, height = scene.picture.size
    displays = PHONES if height > width else SCREENS
    across, down = displays[int(rng.integers(len(displays)))]
    top, bottom = round(down * float(rng.uniform(0.05, 0.11))), round(down * float(rng.uniform(0.03, 0.07)))
    dark = bool(rng.random() < 0.5)
    canvas = Image.new("RGB", (across, down), (28, 28, 30) if dark else (250, 250, 252))
    _interface(canvas, top, bottom, dark=dark, rng=rng)
    fits = min(across / width, (down - top - bottom) / height)
    scale = min(fits * float(rng.uniform(0.75, 1.0)), float(rng.uniform(0.9, 1.25)))
    shown = scene.resized(
        (max(1, round(width * scale)), max(1, round(height * scale))),
        Resampling.BILINEAR if rng.random() < 0.5 else Resampling.BICUBIC,
    )
    x = (across - shown.picture.width) // 2
    y = top + max(0, int((down - top - bottom - shown.picture.height) * float(rng.uniform(0.3, 0.7))))
    canvas.paste(shown.picture, (x, y))
    mask = None
    if shown.mask is not None:
        mask = Image.new("L", canvas.size, 0)
        mask.paste(shown.mask, (x, y))
    return _Scene(canvas, mask).saved("PNG", compress_level=2)


def _interface(canvas: Image.Image, top: int, bottom: int, *, dark: bool, rng: np.random.Generator) -> None:
    """Draw an upper bar with buttons, an address and words, and a lower bar with icons."""
    pen = ImageDraw.Draw(canvas)
    across, down = canvas.size
    bar, field, ink = ((44, 44, 48), (70, 70, 76), (225, 225, 230))
    if not dark:
        bar, field, ink = (222, 225, 230), (255, 255, 255), (40, 42, 48)
    pen.rectangle((0, 0, across, top - 1), fill=bar)
    pen.rectangle((0, down - bottom, across, down), fill=bar)
    middle, radius = top // 2, max(3, top // 6)
    for n in range(3):
        x = radius * (2 + 4 * n)
        pen.ellipse((x - radius, middle - radius, x + radius, middle + radius), outline=ink, width=2)
    pen.rounded_rectangle(
        (across // 6, middle - 2 * radius, across * 5 // 6, middle + 2 * radius), 2 * radius, fill=field
    )
    letters = "".join(chr(97 + int(c)) for c in rng.integers(0, 26, 14))
    font = ImageFont.load_default(size=max(10, 2 * radius))
    pen.text(
        (across // 6 + 3 * radius, middle - 1.2 * radius),
        f"{letters[:9]}.{letters[9:12]}",
        fill=ink,
        font=font,
    )
    size = max(4, bottom // 2)
    for n in range(int(rng.integers(4, 9))):
        tint = tuple(int(v) for v in rng.integers(60, 230, 3))
        x, y = across // 10 + n * 2 * size, down - bottom + (bottom - size) // 2
        pen.rounded_rectangle((x, y, x + size, y + size), size // 4, fill=tint)


_WAYS: dict[str, Callable[[_Scene, np.random.Generator], Laundered]] = {
    "half": _half,
    "social": _social,
    "screenshot": _screenshot,
    "crop": _crop,
    "webp": _webp,
}


def launder_audio(samples: NDArray[np.float32], rate_hz: int, name: str, *, seed: int) -> Laundered:
    """Send sound through one laundering; see `assay.range.sound`."""
    from assay.range.sound import launder_audio as launder_sound  # PyAV is slow to import

    return launder_sound(samples, rate_hz, name, seed=seed)
