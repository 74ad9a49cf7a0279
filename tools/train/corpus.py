"""The pictures that `learned_image` learns from, brought to the same sizes, codecs and qualities in both classes.

Everything is drawn from a generator seeded by the picture's own name, so that a picture's views are the same whatever
else is in the list.
"""

from __future__ import annotations

import hashlib
import io
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

SMALLEST, LARGEST = 64, 1500  # pixels of the short side, log-uniform between
PORTRAIT = (100, 122)  # pixels: what every portrait of the only bona fide set measures
FILTERS = (
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BILINEAR,
    Image.Resampling.BOX,
)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Group:
    """One section of the list: pictures that share label, content and origin."""

    name: str
    root: str
    folder: str
    label: str
    content: str
    source: str
    views: int
    native: bool
    names: tuple[str, ...]
    licence: str
    limit: int = 0
    tiles: int = 1  # pictures a side of one file, where files are square grids of pictures
    history: str = ""  # what all of its pictures went through before: "" or "thumbnail"
    thumbnails: int = 0  # further views of each, first made a thumbnail as pictures with that history were


@dataclass(frozen=True, slots=True)
class Row:
    """One view of one picture."""

    name: str
    set: str
    source: str  # what must never be on both sides of a split
    content: str
    label: str
    short: int  # pixels of the short side
    codec: str
    quality: int
    condition: str  # "matched", "large" (portraits above the size of the bona fide ones) or "native"
    chroma: float  # of a portrait, 0 to 255: many of the bona fide ones are grey; -1 for other pictures
    history: str = ""  # of the group, or of the view


def groups(path: Path) -> list[Group]:
    listed = tomllib.loads(path.read_text("utf-8"))
    return [Group(name=n, **{**g, "names": tuple(g["names"])}) for n, g in listed.items()]


def files(group: Group, roots: dict[str, Path]) -> list[Path]:
    base = roots[group.root] / group.folder
    found = [p for pattern in group.names for p in sorted(base.glob(pattern.replace("[", "[[]")))]
    return found if not group.limit else found[:: max(1, len(found) // group.limit)][: group.limit]


def views(path: Path, group: Group) -> Iterator[tuple[Row, Pixels]]:
    """All views of one file: matched ones, and the untouched one where the set has it."""
    for name, source, picture in _pictures(path, group):
        rng = _seeded(name)
        row = _row(name, source, group, picture, group.history)
        if group.native:
            yield row(min(picture.size), "native", 0, "native"), np.asarray(picture)
        for _ in range(group.views):
            start = as_portrait(picture, rng) if group.content == "portrait" else picture
            yield _view(start, rng, row, "matched")
        if group.name == "sd3":
            large = replace(group, content="people")
            yield _view(picture, rng, _row(name, source, large, picture, group.history), "large")


def thumbnails(path: Path, group: Group) -> Iterator[tuple[Row, Pixels]]:
    """Views of pictures that were first made thumbnails, as many generated ones are before they are published."""
    for name, source, picture in _pictures(path, group):
        rng = _seeded(f"thumbnail {name}")
        row = _row(name, source, group, picture, "thumbnail")
        for _ in range(group.thumbnails):
            yield _view(as_thumbnail(picture, rng), rng, row, "matched")


def _pictures(path: Path, group: Group) -> Iterator[tuple[str, str, Image.Image]]:
    """Name, source and pixels of each picture of a file."""
    with Image.open(path) as opened:
        source = source_of(path, group, opened)
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    if group.tiles == 1:
        yield f"{group.name}/{path.name}", source, picture
        return
    side = min(picture.size) // group.tiles
    for k in range(group.tiles**2):
        x, y = k % group.tiles * side, k // group.tiles * side
        yield f"{group.name}/{path.name}#{k}", f"{source}#{k}", picture.crop((x, y, x + side, y + side))


def _seeded(name: str) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(name.encode()).digest()[:8]))


def _row(name: str, source: str, group: Group, picture: Image.Image, history: str) -> Callable[..., Row]:
    chroma = chroma_of(picture) if group.content == "portrait" else -1.0
    return partial(Row, name, group.name, source, group.content, group.label, chroma=chroma, history=history)


def _view(
    picture: Image.Image, rng: np.random.Generator, row: Callable[..., Row], condition: str
) -> tuple[Row, Pixels]:
    low = PORTRAIT[0] if condition == "large" else SMALLEST
    short = drawn_size(min(picture.size), rng, low)
    codec, quality = drawn_codec(rng)
    small = resized(picture, short, FILTERS[int(rng.integers(len(FILTERS)))])
    return row(min(small.size), codec, quality, condition), np.asarray(coded(small, codec, quality))


def source_of(path: Path, group: Group, picture: Image.Image) -> str:
    if group.source == "camera":
        exif = picture.getexif()
        return "camera:" + " ".join(str(exif.get(tag, "")).strip("\0 ") for tag in (271, 272))
    if group.source == "person" and group.name == "gemini":
        return f"gemini:{path.parents[1].name}"
    if group.name == "opencv":  # left and right, before and after: one scene
        return "opencv:" + path.stem.rstrip("0123456789LRAB")
    if group.folder == ".":  # of many packages, whose file names are alike
        return f"{group.name}:{'/'.join(path.parts[-4:])}"
    return f"{group.name}:{path.stem}"


def chroma_of(picture: Image.Image) -> float:
    """Mean distance of the largest from the smallest colour channel, over a 16 x 16 reduction."""
    small = np.asarray(picture.resize((16, 16), Image.Resampling.BOX)).astype(int)
    return round(float((small.max(2) - small.min(2)).mean()), 1)


def as_portrait(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut and shrink a portrait to 100 x 122 and code it as JPEG, as the bona fide portraits came."""
    if min(picture.size) <= PORTRAIT[1]:
        return picture
    width = min(picture.size[0], picture.size[1] * PORTRAIT[0] / PORTRAIT[1]) * rng.uniform(0.8, 1.0)
    height = width * PORTRAIT[1] / PORTRAIT[0]
    x, y = (rng.uniform(0, a - b) for a, b in zip(picture.size, (width, height), strict=True))
    cut = picture.resize(
        PORTRAIT, Image.Resampling.LANCZOS, box=(x, y, x + width, y + height), reducing_gap=3
    )
    return coded(cut, "jpeg", int(rng.choice([75, 85, 95, 99])))


def as_thumbnail(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut square and code as WebP, mostly at a side of 400 pixels: what pages of templates show."""
    side = min(picture.size)
    x, y = (int(rng.integers(0, length - side + 1)) for length in picture.size)
    cut = picture.crop((x, y, x + side, y + side))
    asked = int(rng.choice([350, 400, 512, 1024], p=[0.15, 0.45, 0.05, 0.35]))
    return coded(resized(cut, asked, Image.Resampling.LANCZOS), "webp", int(rng.integers(70, 96)))


def drawn_size(native: int, rng: np.random.Generator, low: int = SMALLEST) -> int:
    high = min(native, LARGEST)
    return native if high <= low else round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def drawn_codec(rng: np.random.Generator) -> tuple[str, int]:
    codec = str(rng.choice(["jpeg", "jpeg420", "webp", "png"], p=[0.4, 0.35, 0.2, 0.05]))
    return codec, int(rng.integers(50, 99))


def resized(picture: Image.Image, short: int, kernel: Image.Resampling) -> Image.Image:
    scale = short / min(picture.size)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.size[0] * scale)), max(1, round(picture.size[1] * scale)))
    return picture.resize(size, kernel)


def coded(picture: Image.Image, codec: str, quality: int) -> Image.Image:
    """Once through a codec; "png" leaves the pixels as they are."""
    if codec == "png":
        return picture
    buffer = io.BytesIO()
    if codec == "webp":
        picture.save(buffer, "WEBP", quality=quality)
    else:
        picture.save(buffer, "JPEG", quality=quality, subsampling=2 if codec == "jpeg420" else 0)
    return Image.open(buffer).convert("RGB")
