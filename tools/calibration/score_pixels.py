"""Score honest photographs, their honest re-saves and seeded forgeries with jpeg_grid and double_jpeg.

    python tools/calibration/score_pixels.py PHOTOS --out pixel_scores.json [--longest 1600] [--every 1] [--offset 0]

PHOTOS is a folder of camera JPEGs. What comes out is what `fit.py` reads: one row for each rendering, its source the
camera of the photo that it was made from (a forgery's: of its background), named as `scores.py` names it, so that a split
by source keeps renderings together. Renderings other than "as is" start from the photo shrunk to at most `--longest` pixels. Two rows with the same
condition and seed are the same bytes on every machine with the same Pillow.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import forge

from assay.errors import AssayError
from assay.evidence.detectors.double_jpeg import DoubleJpeg
from assay.evidence.detectors.jpeg_grid import JpegGrid
from assay.media.coefficients import read_jpeg
from assay.media.quality import estimated_quality
from assay.media.views import Image

Pixels = NDArray[np.uint8]
DETECTORS = (JpegGrid(), DoubleJpeg())


@dataclass(frozen=True, slots=True)
class Rendering:
    condition: str
    data: bytes
    quality: int | None
    box: tuple[int, int, int, int] | None = None  # of the pasted patch; None: bona fide
    detail: str = ""


def honest(original: bytes, pixels: Pixels) -> Iterator[Rendering]:
    """What happens to photographs that nobody forges."""
    yield Rendering("as_is", original, None)
    for quality in (95, 90, 75, 50):
        yield Rendering(f"q{quality}", forge.jpeg(pixels, quality), quality)
    yield Rendering("half_q85", forge.jpeg(forge.smaller(pixels, max(pixels.shape) // 2), 85), 85)
    yield Rendering("crop_q90", forge.jpeg(np.ascontiguousarray(pixels[3:, 5:]), 90), 90)
    yield Rendering("crop_png", forge.png(np.ascontiguousarray(pixels[3:, 5:])), None)
    aligned = np.ascontiguousarray(pixels[8:, 16:])
    yield Rendering("crop8_q93", forge.jpeg(aligned, 93), 93)
    again = forge.pixels_of(forge.jpeg(forge.smaller(pixels, max(pixels.shape) * 3 // 4), 80))
    yield Rendering("resize_q80_q92", forge.jpeg(again, 92), 92)
    sent = forge.pixels_of(forge.jpeg(pixels, 75))
    yield Rendering("q75_crop_q95", forge.jpeg(np.ascontiguousarray(sent[3:, 5:]), 95), 95)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "WEBP", quality=80)
    yield Rendering("webp_png", forge.png(forge.pixels_of(buffer.getvalue())), None)
    yield Rendering("caption_png", forge.png(captioned(forge.pixels_of(forge.jpeg(pixels, 85)))), None)


def captioned(pixels: Pixels) -> Pixels:
    """Two lines of text over a picture, one of them outlined, and a half transparent bar below."""
    picture = Pillow.fromarray(pixels)
    draw = ImageDraw.Draw(picture, "RGBA")
    size = max(12, picture.height // 20)
    font = ImageFont.load_default(size=size)
    draw.text(
        (size, size),
        "A caption that people put over",
        (255, 255, 255),
        font,
        stroke_width=2,
        stroke_fill=(0, 0, 0),
    )
    draw.rectangle((0, picture.height - 2 * size, picture.width, picture.height), fill=(20, 40, 90, 160))
    draw.text((size, picture.height - 2 * size), "their photographs", (240, 190, 20), font)
    return np.asarray(picture)


def forged(pixels: Pixels, other: Pixels, seed: int) -> Iterator[Rendering]:
    """Patches of another photograph: shifted, aligned or never compressed; last saved well, badly, or without loss."""
    rng = np.random.default_rng(seed)
    for last in (None, 98, 95, 90, 80, 60):
        for aligned in (False, True):
            size = int(rng.choice([64, 128, 256]))
            first, second = int(rng.integers(75, 99)), int(rng.integers(75, 99))
            if min(*pixels.shape[:2], *other.shape[:2]) < size + 48:
                continue
            made = forge.splice(
                pixels,
                other,
                seed=int(rng.integers(2**31)),
                size=size,
                qualities=(first, second, last),
                aligned=aligned,
            )
            name = f"splice_{'aligned' if aligned else 'shifted'}_{'png' if last is None else f'q{last}'}"
            yield Rendering(name, made.forged, last, made.box, f"{size} px, {first} and {second}")
    rng = np.random.default_rng((seed, 1))
    never = forge.smaller(other, max(other.shape) * 4 // 5)  # without the traces of its own file
    for last in (None, 98):
        size, first = int(rng.choice([64, 128, 256])), int(rng.integers(75, 99))
        if min(*pixels.shape[:2], *never.shape[:2]) >= size + 48:
            made = forge.splice(
                pixels, never, seed=int(rng.integers(2**31)), size=size, qualities=(first, 0, last)
            )
            name = f"splice_bare_{'png' if last is None else f'q{last}'}"
            yield Rendering(name, made.forged, last, made.box, f"{size} px, {first} and never compressed")


def scored(rendering: Rendering) -> dict[str, Any]:
    """Sizes, scores and, for forgeries, how well the best region covers the patch."""
    pixels = forge.pixels_of(rendering.data)
    planes = read_jpeg(rendering.data, pixels=10**8).planes if rendering.data[:2] == b"\xff\xd8" else ()
    view = Image(coded=pixels, planes=planes)
    quality = estimated_quality([int(v) for v in planes[0].quantisation.ravel()]) if planes else None
    row: dict[str, Any] = {
        "quality": quality,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "scores": {},
        "overlap": {},
    }
    for detector in DETECTORS:
        found = detector.examine(view)
        row["scores"][detector.card.name] = None if found.score is None else round(found.score, 4)
        if rendering.box is not None and found.regions:
            best = max(found.regions, key=lambda r: r.score or 0.0)
            (x0, y0), (x1, y1) = best.points[0], best.points[2]
            row["overlap"][detector.card.name] = round(
                forge.overlap((x0, y0, x1 - x0, y1 - y0), rendering.box), 3
            )
    return row


def _camera(data: bytes) -> str:
    with Pillow.open(io.BytesIO(data)) as picture:
        exif = picture.getexif()
    return "camera:" + " ".join(str(exif.get(tag, "")).strip("\0 ") for tag in (271, 272))  # Make, Model


def rows(photos: list[Path], longest: int) -> Iterator[dict[str, Any]]:
    for index, path in enumerate(photos):
        original = path.read_bytes()
        pixels = forge.smaller(forge.pixels_of(original), longest)
        partner = photos[(index + 7) % len(photos)]
        other = forge.smaller(forge.pixels_of(partner.read_bytes()), longest)
        camera = _camera(original)
        renderings = [*honest(original, pixels)] if min(pixels.shape[:2]) >= 96 else []
        renderings += forged(pixels, other, zlib.crc32(path.name.encode()))
        for rendering in renderings:
            label = "bona_fide" if rendering.box is None else "fake"
            row: dict[str, Any] = {
                "sample": f"{path.name}#{rendering.condition}",
                "name": path.name,
                "source": camera,
            }
            row |= {
                "condition": rendering.condition,
                "label": label,
                "kind": "splice" if rendering.box else None,
            }
            row |= {"media_family": "image", "detail": rendering.detail}
            try:
                yield row | {"size": len(rendering.data)} | scored(rendering)
            except AssayError as e:
                print(f"{row['sample']}: {e}", file=sys.stderr)


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("photos", type=Path)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--longest", type=int, default=1600)
    arguments.add_argument("--every", type=int, default=1, help="take every n-th photo")
    arguments.add_argument("--offset", type=int, default=0)
    chosen = arguments.parse_args()
    photos = sorted(p for p in chosen.photos.iterdir() if p.suffix.lower() in {".jpg", ".jpeg"})
    every = list(rows(photos[chosen.offset :: chosen.every], chosen.longest))
    cards = {d.card.name: {"version": d.card.version, "family": d.card.family} for d in DETECTORS}
    chosen.out.write_text(json.dumps({"detectors": cards, "rows": every}, indent=1) + "\n")
    print(f"{len(every)} renderings of {len(photos[chosen.offset :: chosen.every])} photos", file=sys.stderr)


if __name__ == "__main__":
    main()
