"""The photographs that fakes are made from: found in a folder, told apart by camera, prepared as parents."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from assay.errors import AssayError, Failed
from assay.media.pixels import BROKEN, as_rgb
from assay.range.generator import Parent
from assay.types import JSON

SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".png", ".webp", ".heic", ".heif", ".avif", ".tif", ".tiff"))
SMALLEST = 160  # pixels of the shorter side
LARGEST = 120_000_000  # pixels
MAKE, MODEL, ORIENTATION = 0x010F, 0x0110, 0x0112  # EXIF tags
QUALITIES = (75, 98)  # of the first save, both included
FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
}
CUT = 0.5  # share of parents that are cut out at their own scale, with the sensor's traces; the others are shrunk


@dataclass(frozen=True, slots=True)
class Photo:
    path: str  # below the folder, "/" between its parts
    source: str  # make and model of its camera, else its own name
    width: int  # upright, pixels
    height: int


def scan(folder: Path) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    """Find the photos of a folder and everything below it, and say of the others why not.

    Returns
    -------
    photos : tuple of Photo
        In the order of their paths.
    skipped : tuple of str
        A sentence for each picture that cannot be used.

    Raises
    ------
    AssayError
        If there is none.
    """
    _heif()
    photos, skipped = [], []
    for path in sorted(_candidates(folder)):
        try:
            photos.append(_photo(folder, path))
        except Failed as e:
            skipped.append(f"{path}: {e.message}")
    if not photos:
        passed_over = f" ({len(skipped)} unreadable or too small)" if skipped else ""
        raise AssayError(
            f"there is no photo in {folder}{passed_over}",
            code="no_photos",
            hint=f"Wanted are pictures of at least {SMALLEST} pixels: {', '.join(sorted(SUFFIXES))}.",
        )
    return tuple(photos), tuple(skipped)


def _candidates(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in files:
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith("."):
                yield os.path.relpath(os.path.join(place, name), folder).replace(os.sep, "/")


def _photo(folder: Path, path: str) -> Photo:
    with _opened(folder, path) as picture:
        exif = picture.getexif()
        width, height = picture.size
        if exif.get(ORIENTATION) in (5, 6, 7, 8):
            width, height = height, width
        if min(width, height) < SMALLEST:
            raise Failed(f"smaller than {SMALLEST} pixels")
        make, model = (" ".join(str(exif.get(tag) or "").strip("\0 ").split()) for tag in (MAKE, MODEL))
    # Some makers write their name into the model as well, some do not.
    camera = model if make and model.lower().startswith(make.lower()) else f"{make} {model}".strip()
    return Photo(path, camera or os.path.splitext(path)[0], width, height)


@contextlib.contextmanager
def _opened(folder: Path, path: str) -> Iterator[Image.Image]:
    """Open a picture; whatever Pillow raises, then or later, becomes Failed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are judged here
            with Image.open(folder / path) as picture:
                if picture.width * picture.height > LARGEST:
                    raise Failed(f"larger than {LARGEST // 1_000_000} megapixels")
                yield picture
    except (*BROKEN, Image.DecompressionBombError) as e:
        raise Failed(f"unreadable ({str(e)[:120] or type(e).__name__})") from e


def preparation(photo: Photo, long_side: int, rng: np.random.Generator) -> JSON:
    """Draw how a photo becomes a parent: its size, whether it is shrunk or cut, and its first save.

    The same distribution serves hosts and donors, whatever the camera.
    """
    wanted = round(long_side * float(rng.uniform(0.6, 1.0)))
    cuts = bool(rng.random() < CUT)
    filter_ = str(rng.choice(tuple(FILTERS)))
    place = rng.random(2)
    drawn: JSON = {
        "quality": int(rng.integers(QUALITIES[0], QUALITIES[1] + 1)),
        "subsampling": "4:2:0" if rng.random() < 0.75 else "4:4:4",
    }
    scale = wanted / max(photo.width, photo.height)
    if scale >= 1:
        return drawn | {"mode": "whole", "size": [photo.width, photo.height]}
    size = [max(SMALLEST // 2, round(side * scale)) for side in (photo.width, photo.height)]
    if not cuts:
        return drawn | {"mode": "shrunk", "size": size, "filter": filter_}
    # On the grid of the photo's own blocks (16: those of its colours), so that the first save continues it.
    at = [
        int(r * (side - s)) // 16 * 16 for r, side, s in zip(place, (photo.width, photo.height), size, strict=True)
    ]  # fmt: skip
    return drawn | {"mode": "cut", "size": size, "at": at}


def parent(folder: Path, path: str, source: str, prepared: JSON, *, sha256: str | None = None) -> Parent:
    """Decode a photo and prepare it.

    Parameters
    ----------
    sha256 : str, optional
        What the file must have; None takes any.

    Raises
    ------
    Failed
        If it cannot be read, or is another file than it was.
    """
    _heif()
    try:
        found = hashlib.sha256((folder / path).read_bytes()).hexdigest()
    except OSError as e:
        raise Failed(f"{path}: {e.strerror or e}") from e
    if sha256 is not None and found != sha256:
        raise Failed(f"{path} is another file than the recipe's", code="altered")
    width, height = prepared["size"]
    with _opened(folder, path) as picture:
        if prepared["mode"] == "shrunk" and picture.format == "JPEG":
            # Half and quarter sizes come cheap out of the decoder; the rest is left to the filter.
            turned = picture.getexif().get(ORIENTATION) in (5, 6, 7, 8)
            picture.draft("RGB", (2 * height, 2 * width) if turned else (2 * width, 2 * height))
        picture.load()
        upright = Image.fromarray(as_rgb(ImageOps.exif_transpose(picture), [])[0])
    if prepared["mode"] == "shrunk":
        upright = upright.resize((width, height), FILTERS[prepared["filter"]])
    elif prepared["mode"] == "cut":
        x, y = prepared["at"]
        upright = upright.crop((x, y, x + width, y + height))
    file = io.BytesIO()
    upright.save(file, "JPEG", quality=prepared["quality"], subsampling=prepared["subsampling"])
    pixels = np.array(Image.open(file))
    pixels.setflags(write=False)
    return Parent(pixels, path, found, source, prepared)


def _heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
