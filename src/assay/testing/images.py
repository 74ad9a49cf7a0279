"""Makers of small pictures: arrays of pixels, and their encodings. Everything is seeded, nothing touches a disk."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]
ORIENTATION = 0x0112  # the EXIF tag


def noise(width: int, height: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Independent uniform noise, shape (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def flat(width: int, height: int, *, value: int = 128) -> NDArray[np.uint8]:
    """One colour everywhere, shape (height, width, 3)."""
    return np.full((height, width, 3), value, np.uint8)


def gradient(width: int, height: int) -> NDArray[np.uint8]:
    """Red grows to the right, green downwards, blue falls along the diagonal; shape (height, width, 3)."""
    x = np.broadcast_to(np.linspace(0, 255, width), (height, width))
    y = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    return np.stack([x, y, 255 - (x + y) / 2], axis=-1).round().astype(np.uint8)


def checkerboard(width: int, height: int, *, cell: int = 8) -> NDArray[np.uint8]:
    """Black and white squares of `cell` pixels, shape (height, width, 3)."""
    y, x = np.mgrid[:height, :width] // cell
    return np.repeat(((x + y) % 2 * 255).astype(np.uint8)[..., None], 3, axis=-1)


def scene(width: int, height: int, *, seed: int = 0, grain: float = 2.0) -> NDArray[np.uint8]:
    """Make something with the statistics of a photograph: 1/f texture, lit shapes with edges, sensor noise.

    Parameters
    ----------
    width, height : int
        Size in pixels.
    seed : int
        The same seed and size give the same picture.
    grain : float
        Standard deviation of the sensor noise, in grey levels.

    Returns
    -------
    pixels : ndarray of uint8, shape (height, width, 3)
        An sRGB-like picture.

    References
    ----------
    D. J. Field, "Relations between the statistics of natural images and the response properties of cortical
    cells", JOSA A 4(12), 1987: the amplitude spectrum of natural scenes falls with 1/f.
    """
    rng = np.random.default_rng(seed)
    small = (
        max(2, width // 8),
        max(2, height // 8),
    )  # the tints vary slowly: an eighth of the size is enough
    tints = np.stack([_texture(*small, rng, octaves=4) for _ in range(3)], axis=-1)
    detail = _texture(width, height, rng, octaves=16)[..., None]
    slow = Image.fromarray(np.clip(128 + 50 * tints, 0, 255).astype(np.uint8))
    picture = slow.resize((width, height), Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(picture)
    for _ in range(24):
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        radius = rng.uniform(0.03, 0.2) * max(width, height)
        colour = tuple(int(v) for v in rng.integers(20, 236, 3))
        if rng.random() < 0.5:
            canvas.ellipse((cx - radius, cy - radius * 0.7, cx + radius, cy + radius * 0.7), fill=colour)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, 5))
            canvas.polygon([(cx + radius * np.cos(a), cy + radius * np.sin(a)) for a in angles], fill=colour)
    soft = np.array(picture.filter(ImageFilter.GaussianBlur(0.7)), dtype=np.float32)
    soft *= 1 + np.float32(0.2) * detail
    soft += np.float32(grain) * rng.standard_normal((height, width, 3), dtype=np.float32)
    return np.clip(soft, 0, 255, out=soft).round(out=soft).astype(np.uint8)


def _texture(width: int, height: int, rng: np.random.Generator, *, octaves: int) -> NDArray[np.float32]:
    """Sum noise of equal strength in every octave, which is a spectrum of 1/f; mean 0, deviation about 1."""
    total = np.zeros((height, width), np.float32)
    for k in range(octaves):
        columns, rows = 2 ** (k + 1), max(2, round(2 ** (k + 1) * height / width))
        if columns > width or rows > height:
            break
        coarse = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return total / max(float(total.std()), 1e-6)


def jpeg(
    pixels: NDArray[np.uint8],
    *,
    quality: int = 90,
    subsampling: Subsampling = "4:2:0",
    progressive: bool = False,
    restart_blocks: int = 0,
    orientation: int = 1,
    optimize: bool = False,
) -> bytes:
    """Encode pixels (H, W, 3), or (H, W) for a grey one, as JPEG; `orientation` adds EXIF unless it is 1."""
    options: dict[str, Any] = {"quality": quality, "progressive": progressive, "optimize": optimize}
    if pixels.ndim == 3:
        options["subsampling"] = subsampling
    if restart_blocks:
        options["restart_marker_blocks"] = restart_blocks
    if orientation != 1:
        options["exif"] = exif_orientation(orientation)
    return encoded(pixels, "JPEG", **options)


def cmyk_jpeg(pixels: NDArray[np.uint8], *, quality: int = 90) -> bytes:
    """Encode as a JPEG of four components, as printers want it."""
    return saved(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=quality)


def png(pixels: NDArray[np.uint8], *, text: dict[str, str] | None = None) -> bytes:
    """Encode pixels (H, W), (H, W, 3) or (H, W, 4) as PNG, with text chunks where given."""
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    for keyword, value in (text or {}).items():
        notes.add_text(keyword, value)
    return encoded(pixels, "PNG", pnginfo=notes)


def png16(values: NDArray[np.uint16]) -> bytes:
    """Encode values (H, W) or (H, W, 3) as a PNG of 16 bits a channel, which Pillow cannot write in colour."""
    height, width = values.shape[:2]
    rows = values.astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return png_from_chunks(width, height, zlib.compress(raw), depth=16, colour=2 if values.ndim == 3 else 0)


def png_from_chunks(width: int, height: int, compressed: bytes, *, depth: int = 8, colour: int = 2) -> bytes:
    """Write a PNG whose header says what you like, whatever the data hold: for headers that lie."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", compressed), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def webp(pixels: NDArray[np.uint8], *, quality: int = 90, lossless: bool = False) -> bytes:
    """Encode as WebP."""
    return encoded(pixels, "WEBP", quality=quality, lossless=lossless)


def heic(pixels: NDArray[np.uint8], *, quality: int = 80, orientation: int = 1) -> bytes:
    """Encode as HEIC (HEVC in HEIF)."""
    import pillow_heif

    options: dict[str, Any] = {"exif": exif_orientation(orientation)} if orientation != 1 else {}
    file = io.BytesIO()
    height, width = pixels.shape[:2]
    pillow_heif.from_bytes("RGB", (width, height), pixels.tobytes()).save(file, quality=quality, **options)
    return file.getvalue()


def animation(frames: Sequence[NDArray[np.uint8]], kind: str = "GIF", *, frame_ms: int = 100) -> bytes:
    """Encode frames of one size as an animated GIF, WEBP, PNG or AVIF."""
    first, *rest = [Image.fromarray(f) for f in frames]
    return saved(first, kind, save_all=True, append_images=rest, duration=frame_ms, loop=0)


def encoded(pixels: NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    """Encode pixels in any format that Pillow writes ("TIFF", "BMP", "AVIF", ...)."""
    return saved(Image.fromarray(pixels), kind, **options)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode a Pillow picture of any mode."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def exif_orientation(orientation: int) -> bytes:
    """EXIF data that hold one tag, the orientation, right or wrong."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()
