"""What the encoder says of every view of the training list, kept in a cache that grows group by group."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import corpus
import numpy as np
import pairs
from numpy.typing import NDArray

from assay import config
from assay.evidence import models
from assay.evidence.detectors.learned_image import ENCODER, LearnedImage, reduced, window

HERE = Path(__file__).parent
LIST = HERE / "learned_image.toml"
Halves = NDArray[np.float16]


@dataclass(frozen=True)
class Embedded:
    """Rows and what the encoder said of each, in half precision."""

    rows: tuple[corpus.Row, ...]
    last: Halves  # (N, 512): embedding of the squashed picture
    middle: Halves  # (N, 2304): pooled tokens of the same pass
    window_last: Halves  # (N, 512): of the window at its own resolution
    window_middle: Halves  # (N, 2304)


COLUMNS = ("last", "middle", "window_last", "window_middle")


def encoder() -> LearnedImage:
    return LearnedImage(models.sessions([ENCODER], config.load().paths.models))


def embed(cache: Path, roots: dict[str, Path]) -> Embedded:
    """Every view of every picture of the list, and the pairs, computed where the cache does not have them."""
    parts, detector = [], None
    for group in corpus.groups(LIST):
        stored = cache / f"{group.name}.npz"
        if not stored.exists():
            detector = detector or encoder()
            views = (v for path in corpus.files(group, roots) for v in corpus.views(path, group))
            store(stored, described(views, detector))
            print(f"{group.name}: done", flush=True)
        parts.append(read(stored))
    stored = cache / "pairs.npz"
    if not stored.exists():
        store(stored, described(pairs.pairs(roots), detector or encoder()))
    return joined([*parts, read(stored)])


def described(views: Iterable[tuple[corpus.Row, corpus.Pixels]], detector: LearnedImage) -> Embedded:
    rows, columns = [], []
    for row, pixels in views:
        squashed, cut = (detector.layers(square) for square in (reduced(pixels), window(pixels)))
        rows.append(row)
        columns.append([v.astype(np.float16) for v in (*squashed, *cut)])
    return Embedded(tuple(rows), *(np.stack(c) for c in zip(*columns, strict=True)))


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
