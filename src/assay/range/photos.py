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
from assay.range.own import PARTS, is_corpus, is_marked, is_part
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
    source: str  # make and model of its camera, else its own name; always UTF-8
    width: int  # upright, pixels
    height: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a folder of photos holds."""

    folder: Path
    photos: tuple[Photo, ...]  # in the order of their paths
    skipped: tuple[str, ...]  # a sentence for each picture that cannot be used
    left_out: tuple[str, ...]  # folders of what the range made

    def some(self) -> tuple[Photo, ...]:
        """Give the photos.

        Raises
        ------
        AssayError
            If there is none.
        """
        if self.photos:
            return self.photos
        why = [f"{len(self.skipped)} unreadable, too small or made by the range"] if self.skipped else []
        why += [f"{len(self.left_out)} left out, as the range made them"] if self.left_out else []
        raise AssayError(
            f"there is no photo in {self.folder}" + (f" ({'; '.join(why)})" if why else ""),
            code="no_photos",
            hint=f"Wanted are pictures of at least {SMALLEST} pixels: {', '.join(sorted(SUFFIXES))}.",
        )


def scan(folder: Path) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    """Find the photos of a folder, which must have some, and say of the others why not: `look` without the rest."""
    seen = look(folder)
    return seen.some(), seen.skipped


def look(folder: Path, out: Path | None = None) -> Seen:
    """Find the photos of a folder and everything below it, but for what the range made.

    Parameters
    ----------
    out : Path, optional
        Where a corpus is to grow. It is left out, as all other corpora are.
    """
    _heif()
    photos: list[Photo] = []
    skipped: list[str] = []
    left_out: list[str] = []
    for path in sorted(_candidates(folder, out, left_out)):
        try:
            photos.append(_photo(folder, path))
        except Failed as e:
            skipped.append(e.message)
    return Seen(folder, tuple(photos), tuple(skipped), tuple(left_out))


def text(name: str) -> str:
    r"""Write a name in UTF-8; bytes of it that are none become ``\xff``, as people are shown them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _candidates(folder: Path, out: Path | None, left_out: list[str]) -> Iterator[str]:
    """Give the pictures' paths; what is left out is entered into `left_out`."""
    if is_part(folder):
        left_out.append(str(folder))
        return
    growing = os.path.realpath(out) if out is not None else None

    def kept(place: str, name: str) -> bool:
        path = os.path.join(place, name)
        # The folder itself may be a corpus: photos beside its parts are a person's.
        part = name in PARTS and place == str(folder) and is_corpus(folder)
        if part or os.path.realpath(path) == growing or is_corpus(Path(path)):
            left_out.append(os.path.relpath(path, folder))
            return False
        return True

    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in sorted(folders) if not f.startswith(".") and kept(place, f)]
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
            raise Failed(f"{path}: smaller than {SMALLEST} pixels")
        make, model = (" ".join(str(exif.get(tag) or "").strip("\0 ").split()) for tag in (MAKE, MODEL))
    if is_marked(folder / path):
        raise Failed(f"{path}: made by the range, as its credential says")
    # Some makers write their name into the model as well, some do not.
    camera = model if make and model.lower().startswith(make.lower()) else f"{make} {model}".strip()
    return Photo(path, text(camera or os.path.splitext(path)[0]), width, height)


@contextlib.contextmanager
def _opened(folder: Path, path: str) -> Iterator[Image.Image]:
    """Open a picture; whatever Pillow raises, then or later, becomes Failed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are judged here
            with Image.open(folder / path) as picture:
                if picture.width * picture.height > LARGEST:
                    raise Failed(f"{path}: larger than {LARGEST // 1_000_000} megapixels")
                yield picture
    except (*BROKEN, Image.DecompressionBombError) as e:
        raise Failed(f"{path}: unreadable ({str(e)[:120] or type(e).__name__})") from e


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
    upright = _upright(folder, path, prepared)
    file = io.BytesIO()
    upright.save(file, "JPEG", quality=prepared["quality"], subsampling=prepared["subsampling"])
    pixels = np.array(Image.open(file))
    pixels.setflags(write=False)
    return Parent(pixels, path, found, source, prepared)


def _upright(folder: Path, path: str, prepared: JSON) -> Image.Image:
    """Decode a photo, turn it upright and bring it to its size."""
    width, height = prepared["size"]
    with _opened(folder, path) as picture:
        if prepared["mode"] == "shrunk" and picture.format == "JPEG":
            # Half and quarter sizes come cheap out of the decoder; the rest is left to the filter.
            turned = picture.getexif().get(ORIENTATION) in (5, 6, 7, 8)
            picture.draft("RGB", (2 * height, 2 * width) if turned else (2 * width, 2 * height))
        picture.load()
        upright = Image.fromarray(as_rgb(ImageOps.exif_transpose(picture), [])[0])
    if prepared["mode"] == "shrunk":
        return upright.resize((width, height), FILTERS[prepared["filter"]])
    if prepared["mode"] == "cut":
        x, y = prepared["at"]
        return upright.crop((x, y, x + width, y + height))
    return upright


def _heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
