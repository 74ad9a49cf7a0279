"""What the encoder says of every view of the training list, kept in a cache that grows group by group."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import corpus
import numpy as np
import pairs
from numpy.typing import NDArray

from assay import config
from assay.evidence import models
from assay.evidence.detectors._clip import ENCODER, reduced, shown
from assay.evidence.detectors.learned_image import SMALLEST, Head, LearnedImage, Part

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

HERE = Path(__file__).parent
LISTS = (
    HERE / "learned_image.toml",
    HERE / "learned_image_generators.toml",
    HERE.parent / "calibration/media.toml",
    HERE.parent / "calibration/more.toml",
    HERE.parent / "calibration/stock.toml",
)
Halves = NDArray[np.float16]


@dataclass(frozen=True)
class Embedded:
    """Rows and what the encoder said of each, in half precision."""

    rows: tuple[corpus.Row, ...]
    late: Halves  # (N, 3072): class tokens of the late blocks
    middle: Halves  # (N, 2304): mean patches of the middle blocks


COLUMNS = ("late", "middle")


def sessions() -> dict[str, InferenceSession]:
    return models.sessions([ENCODER], config.load().paths.models)


def encoder() -> LearnedImage:
    """For its features: it has no head."""
    none = Part(np.zeros(0), 0.0)
    return LearnedImage(sessions(), Head(none, none, 0.0))


def embed(cache: Path, roots: dict[str, Path]) -> Embedded:
    """Every view of every picture of the list, and the pairs, computed where the cache does not have them."""
    kept = _Kept(cache)
    for group in listed():
        paths = corpus.files(group, roots)
        kept.add(group.name, (v for path in paths for v in corpus.views(path, group)))
        if group.thumbnails:
            kept.add(
                f"{group.name}.thumbnails", (v for path in paths for v in corpus.thumbnails(path, group))
            )
    kept.add("pairs", pairs.pairs(roots))
    return joined(kept.parts)


def listed() -> list[corpus.Group]:
    """All groups of all lists."""
    return [group for path in LISTS for group in corpus.groups(path)]


class _Kept:
    """Parts of the cache, each computed where it is not there yet."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._detector: LearnedImage | None = None
        self.parts: list[Embedded] = []

    def add(self, name: str, views: Iterable[tuple[corpus.Row, corpus.Pixels]]) -> None:
        stored = self._cache / f"{name}.npz"
        if not stored.exists():
            self._detector = self._detector or encoder()
            store(stored, described(views, self._detector))
            print(f"{name}: done", flush=True)
        self.parts.append(read(stored))


def described(views: Iterable[tuple[corpus.Row, corpus.Pixels]], detector: LearnedImage) -> Embedded:
    rows, columns = [], []
    for row, pixels in views:
        rows.append(row)
        columns.append([v.astype(np.float16) for v in detector.features(reduced(within(pixels)))])
    return Embedded(tuple(rows), *(np.stack(c) for c in zip(*columns, strict=True)))


def within(pixels: corpus.Pixels) -> corpus.Pixels:
    """What the detector looks at: the picture, or the one that stands within its plain borders."""
    box = shown(pixels, SMALLEST)
    if box is None:
        return pixels
    x, y, wide, high = box
    return pixels[y : y + high, x : x + wide]


def joined(parts: list[Embedded]) -> Embedded:
    rows = tuple(row for part in parts for row in part.rows)
    return Embedded(rows, *(np.concatenate([getattr(p, c) for p in parts]) for c in COLUMNS))


def store(path: Path, part: Embedded) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {column: getattr(part, column) for column in COLUMNS}
    np.savez(path, rows=json.dumps([asdict(r) for r in part.rows]), **kept)


def read(path: Path) -> Embedded:
    with np.load(path, allow_pickle=False) as z:
        rows = tuple(corpus.Row(**row) for row in json.loads(str(z["rows"])))
        return Embedded(rows, *(z[column] for column in COLUMNS))
