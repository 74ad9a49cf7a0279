"""Photographs and their reconstructions: pairs that differ in nothing but a learned decoder's traces.

Parents come from sources that the decoders never saw. Both of a pair go through the same crop, resize and codec.
Everything is drawn from the parent's own name.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import corpus
import decoders
import numpy as np
from PIL import Image, ImageOps

from assay.range import reconstruct

PER_PARENT = {"people": 3, "scene": 2, "drawing": 1, "portrait": 1}  # pairs
PORTRAITS = 8  # every so many-th is a parent
SHORT, REGION = (160, 3000), (128, 640)  # pixels: short side of the scaled parent; sides of the cut region


def pairs(roots: dict[str, Path]) -> Iterator[tuple[corpus.Row, corpus.Pixels]]:
    """First the parent, then its reconstruction, for every drawn pair."""
    for group in corpus.groups(decoders.HERE / "learned_image.toml"):
        if group.label != "bona_fide":
            continue
        step = PORTRAITS if group.content == "portrait" else 1
        paths = corpus.files(group, roots)
        named = Counter(p.name for p in paths)
        for path in paths[::step]:
            if named[path.name] > 1:  # a pair is known by its parent's name
                continue
            with Image.open(path) as opened:
                source = corpus.source_of(path, group, opened)
                if decoders.learns(source):
                    continue
                picture = ImageOps.exif_transpose(opened).convert("RGB")
            for number in range(PER_PARENT[group.content]):
                yield from pair(picture, f"{group.name}/{path.name}", source, group.content, number)


def pair(
    picture: Image.Image, name: str, source: str, content: str, number: int
) -> Iterator[tuple[corpus.Row, corpus.Pixels]]:
    digest = hashlib.sha256(f"pair {number} {name}".encode()).digest()
    rng = np.random.default_rng(list(digest[:8]))
    known = reconstruct.decoders()
    decoder = known[(digest[8] + 3 * number) % len(known)]
    parent = region(picture, rng)
    pixels = np.asarray(parent)
    twin = Image.fromarray(reconstruct.spectrum_matched(reconstruct.decoded(pixels, decoder), pixels))
    after = float(rng.uniform(0.5, 1)) if rng.random() < 0.5 else 1.0
    short = max(corpus.SMALLEST, round(min(parent.size) * after))
    kernel = corpus.FILTERS[int(rng.integers(len(corpus.FILTERS)))]
    codec, quality = corpus.drawn_codec(rng)
    for label, side in (("bona_fide", parent), ("fake", twin)):
        pixels = np.asarray(corpus.coded(corpus.resized(side, short, kernel), codec, quality))
        made = f"{'reconstruct' if label == 'fake' else 'parent'}:{decoder}"
        row = corpus.Row(
            f"{name}#{number}",
            made,
            source,
            content,
            label,
            min(pixels.shape[:2]),
            codec,
            quality,
            "pair",
            -1.0,
        )
        yield row, pixels


def region(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Bring a parent to a drawn scale and cut a drawn region out of it; a third is saved once more before."""
    high = min(SHORT[1], *picture.size)
    low = min(SHORT[0], high)
    short = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    scaled = corpus.resized(picture, short, corpus.FILTERS[int(rng.integers(len(corpus.FILTERS)))])
    width, height = (int(rng.integers(min(n, REGION[0]), min(n, REGION[1]) + 1)) for n in scaled.size)
    x, y = (int(rng.integers(0, n - m + 1)) for n, m in zip(scaled.size, (width, height), strict=True))
    cut = scaled.crop((x, y, x + width, y + height))
    if rng.random() < 1 / 3:
        cut = corpus.coded(cut, "jpeg420", int(rng.integers(75, 99)))
    return cut
