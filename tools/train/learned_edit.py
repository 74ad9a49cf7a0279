"""Train the map of `learned_edit`, measure it, and write the weights that ship.

    python tools/train/learned_edit.py make --media ../shared/data --packages PACKAGES --more MORE --work WORK
    python tools/train/learned_edit.py fit --work WORK [--write]

`make` lets the range forge the photographs of all lists (`board_media`) and keeps what the encoder says of every patch of
the forgeries and of their twins, which went through the same saves. `fit` splits by source in five folds, prints the tables of the model
card, and with --write replaces the shipped weights and those of the folds, which benches take from `unseen`. Everything is seeded.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
from copy_move import fold_of, interval  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from assay.evidence.detectors import learned_edit as detector  # noqa: E402
from assay.evidence.detectors.learned_edit import Weights  # noqa: E402

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "src/assay/evidence/weights/learned_edit.npz"
UNSEEN = ROOT / "docs/calibration/learned_edit.npz"
MAKERS = ("splice", "copy_move", "inpaint")
EACH = 420  # forgeries of each kind
LONG_SIDE = 1600  # pixels: sizes are drawn from 60 to 100 % of it
QUALITIES = (75, 98)  # of the last save
SEED = 70
FOLDS = 5
CHANGED, KEPT = (
    0.5,
    0.05,
)  # share of a patch that was changed: from here on it counts as changed, up to here as not
PENALTY = 0.5  # of the ridge regression, beside features of variance 1
BUDGET = 0.01  # false alarms
SHORT = 256  # pixels of the short side: the smallest view
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Set:
    """What the encoder said of every patch."""

    tokens: NDArray[np.float16]  # (N, 196, D)
    changed: NDArray[np.float32]  # (N, 196): share of each patch; 0 in twins
    fake: Mask
    kind: NDArray[np.str_]
    source: NDArray[np.str_]
    pair: NDArray[np.int64]  # a forgery and its twin share a number

    @property
    def fold(self) -> NDArray[np.int64]:
        return np.array([fold_of(s) for s in self.source])


def make(roots: dict[str, Path], work: Path) -> None:
    """Forge, and keep what the encoder says in WORK/MAKER.npz."""
    folder = work / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    sources = _linked(roots, folder)
    with multiprocessing.Pool(min(len(MAKERS), os.cpu_count() or 1)) as pool:
        pool.starmap(
            _made, [(maker, k, folder, work, sources) for k, maker in enumerate(MAKERS)], chunksize=1
        )


def _linked(roots: dict[str, Path], folder: Path) -> dict[str, str]:
    """Bring every bona fide photograph of the lists into one folder; its source by file name."""
    import board_media

    sources = {}
    for one in board_media.listed(roots, (*board_media.LISTS, board_media.LATER, board_media.STOCK)):
        if one.group.label == "bona_fide" and one.group.content in board_media.SCENES:
            if not (folder / one.flat).is_symlink():
                (folder / one.flat).symlink_to(one.path.resolve())
            sources[one.flat] = one.source
    return sources


def _made(maker: str, k: int, folder: Path, work: Path, sources: dict[str, str]) -> None:
    from board_media import Settings, made, manifest, marking, photos, replace

    out = work / maker
    out.mkdir(exist_ok=True)
    found = tuple(replace(p, source=sources[p.path]) for p in photos.scan(folder)[0])
    chosen = Settings(maker, SEED + k, LONG_SIDE, QUALITIES, "", marked=False, rights="see the lists")
    made.prepared(out)
    for n, _ in enumerate(made.build(made.Work(folder, out, chosen, found, marking.authority()), EACH, 1)):
        if n % 50 == 0:
            print(f"{maker}: {n} of {EACH}", flush=True)
    made.summarise(out)
    entries = manifest.read(out / "manifest.csv").entries
    rows = list(_described([e for e in entries if e.family == maker]))
    np.savez(
        work / f"{maker}.npz",
        tokens=np.stack([r["tokens"] for r in rows]),
        changed=np.stack([r["changed"] for r in rows]),
        **{n: np.array([r[n] for r in rows]) for n in ("fake", "kind", "source", "pair")},
    )
    print(f"{maker}: {len(rows)} pictures described", flush=True)


def _described(entries: list[Any]) -> Iterator[dict[str, Any]]:
    """A forgery and its twin see the same view: as saved, or shrunk and coded once more."""
    import corpus
    from embeddings import sessions
    from PIL import Image

    from assay.evidence.detectors._clip import reduced

    encoder = detector.LearnedEdit(sessions(), Weights(np.zeros(0), 0.0))
    for entry in entries:
        pair = int(entry.path.stem.removesuffix("-twin").rpartition("-")[2])
        rng = np.random.default_rng([SEED, pair])
        with Image.open(entry.path) as opened:
            picture = opened.convert("RGB")
        if rng.random() < 0.5:
            short = corpus.drawn_size(min(picture.size), rng, SHORT)
            small = corpus.resized(picture, short, corpus.FILTERS[int(rng.integers(len(corpus.FILTERS)))])
            picture = corpus.coded(small, *corpus.drawn_codec(rng))
        changed = np.zeros(detector.PATCHES**2, np.float32)
        if entry.mask is not None:
            with Image.open(entry.mask) as opened:
                side = (detector.PATCHES, detector.PATCHES)
                small = opened.convert("L").resize(side, Image.Resampling.BOX)
                changed = np.asarray(small, np.float32).ravel() / 255
        tokens = encoder.tokens(reduced(np.asarray(picture))).astype(np.float16)
        yield {
            "tokens": tokens, "changed": changed, "fake": entry.fake, "kind": entry.family,
            "source": entry.source, "pair": pair,
        }  # fmt: skip


def load(work: Path) -> Set:
    """The views of all kinds; pairs of different kinds get different numbers."""
    parts = [np.load(work / f"{maker}.npz", allow_pickle=False) for maker in MAKERS]
    joined = {
        name: np.concatenate([p[name] for p in parts])
        for name in ("tokens", "changed", "fake", "kind", "source")
    }
    return Set(**joined, pair=np.concatenate([p["pair"] + 10**6 * k for k, p in enumerate(parts)]))


def fit(data: Set, chosen: Mask) -> Weights:
    """A ridge regression of changed patches against others: half of these the same places of the twins.

    The twins' places keep the map from learning where forgeries lie and what they show.
    """
    places = {(int(p)): c for p, c, f in zip(data.pair, data.changed >= CHANGED, data.fake, strict=True) if f}
    same = np.stack([~f & places[int(p)] for p, f in zip(data.pair, data.fake, strict=True)])
    kept = (data.changed <= KEPT) & ~same
    sums = _Sums(data.tokens.shape[2])
    for mask, label, share in ((data.changed >= CHANGED, 1.0, 0.5), (same, -1.0, 0.25), (kept, -1.0, 0.25)):
        chosen_patches = mask & chosen[:, None]
        sums.add(data.tokens, chosen_patches, label, share / max(1, int(chosen_patches.sum())))
    return sums.solved()


class _Sums:
    """Weighted moments of the patches, in which a ridge regression is solved."""

    def __init__(self, depth: int) -> None:
        self.weight = 0.0
        self.label = 0.0
        self.mean = np.zeros(depth)
        self.square = np.zeros((depth, depth))
        self.product = np.zeros(depth)

    def add(self, tokens: NDArray[np.float16], mask: Mask, label: float, each: float) -> None:
        for start in range(0, len(tokens), 200):
            rows = tokens[start : start + 200][mask[start : start + 200]].astype(np.float32)
            total = rows.sum(axis=0, dtype=np.float64)
            self.weight += each * len(rows)
            self.label += each * label * len(rows)
            self.mean += each * total
            self.square += each * (rows.T @ rows)
            self.product += each * label * total

    def solved(self) -> Weights:
        mean = self.mean / self.weight
        covariance = self.square / self.weight - np.outer(mean, mean)
        spread = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
        scaled = covariance / np.outer(spread, spread) + PENALTY * np.eye(len(mean))
        with_label = (self.product / self.weight - mean * self.label / self.weight) / spread
        weight = np.linalg.solve(scaled, with_label) / spread
        return Weights(weight, float(self.label / self.weight - weight @ mean))


def values(data: Set, weights: Weights, chosen: Mask) -> Floats:
    """Smoothed values of every patch, shape (n, 14, 14)."""
    out = np.empty((int(chosen.sum()), detector.PATCHES, detector.PATCHES))
    for k, i in enumerate(np.flatnonzero(chosen)):
        out[k] = weights.patches(data.tokens[i].astype(np.float32))
    return detector.smoothed(out)


@dataclass(frozen=True)
class Fitted:
    """One map for each fold, which did not see it, and one of everything, on one scale."""

    folds: tuple[Weights, ...]
    whole: Weights
    values: Floats  # (N, 14, 14) out of fold, smoothed

    @property
    def scores(self) -> Floats:
        best: Floats = self.values.max(axis=(1, 2))
        return best


def fitted(data: Set, left: Mask | None = None) -> Fitted:
    """Fit by source. Honest pictures' scores out of fold get mean 0 and deviation 1; no forgery enters into the scale.

    `left` are rows that nothing learns from, as a whole kind.
    """
    kept = ~left if left is not None else np.ones(len(data.fake), bool)
    raw = [fit(data, kept & (data.fold != k)) for k in range(FOLDS)]
    found = np.empty((len(data.fake), detector.PATCHES, detector.PATCHES))
    for k, weights in enumerate(raw):
        found[data.fold == k] = values(data, weights, data.fold == k)
    honest = found.max(axis=(1, 2))[~data.fake]
    middle, spread = float(honest.mean()), float(honest.std())
    notable = float((np.quantile(honest, 1 - BUDGET) - middle) / spread)

    def scaled(w: Weights) -> Weights:
        return Weights(w.of / spread, (w.bias - middle) / spread, notable, -middle / spread)

    return Fitted(tuple(map(scaled, raw)), scaled(fit(data, kept)), (found - middle) / spread)


def measure(data: Set, found: Fitted) -> None:
    """Print the tables of the model card: by sources left out."""
    print("pictures | map | AUC | recall at 1 % | recall at 2 % | forgeries | twins | sources")
    _shown(data, "all", "all kinds", found.scores, np.ones(len(data.fake), bool))
    for kind in MAKERS:
        own = data.kind == kind
        _shown(data, kind, "all kinds", found.scores, own | ~data.fake)
        _shown(data, kind, "this kind left out", fitted(data, own).scores, own | ~data.fake)
        _shown(data, f"{kind}, its own twins", "all kinds", found.scores, own)
    inside = found.values.reshape(len(data.fake), -1)[data.changed >= CHANGED]
    outside = found.values.reshape(len(data.fake), -1)[data.fake[:, None] & (data.changed <= KEPT)]
    print(f"patches of forgeries, changed against others: AUC {auc(inside, outside):.3f}")
    print("region ends at | F1 of regions, patches: " + " | ".join(MAKERS))
    for at in (-1.0, 0.0, 1.0, 2.0):
        means = [
            np.mean(
                [
                    _f1(found.values[i] >= at, data.changed[i])
                    for i in np.flatnonzero(data.fake & (data.kind == k))
                ]
            )
            for k in MAKERS
        ]
        print(f"{at:+.1f} | " + " | ".join(f"{m:.2f}" for m in means))
    print(f"notable {found.whole.notable:.2f}, no likelier changed than not: {found.whole.edge:.2f}")


def _shown(data: Set, label: str, what: str, scores: Floats, chosen: Mask) -> None:
    at = interval(scores[chosen], data.fake[chosen], data.source[chosen])
    counts = f"{data.fake[chosen].sum()} | {(~data.fake[chosen]).sum()} | {len(set(data.source[chosen]))}"
    print(f"{label} | {what} | {at} | {counts}", flush=True)


def auc(high: Floats, low: Floats) -> float:
    """Share of couples in the right order; equal values count half."""
    ordered = np.sort(low)
    below = np.searchsorted(ordered, high, "left") + np.searchsorted(ordered, high, "right")
    return float(below.mean() / 2 / len(ordered))


def _f1(shown: Mask, changed: NDArray[np.float32]) -> float:
    """Of all patches that reach a value, by area; what is outlined is their part around the strongest one."""
    truth = changed.reshape(shown.shape)
    both = float(truth[shown].sum())
    return 2 * both / max(1e-9, float(shown.sum()) + float(truth.sum()))


def unseen(source: str) -> Weights:
    """The map that learned nothing from forgeries of a source, nor from its honest pictures."""
    return _stored()[fold_of(source)]


@cache
def _stored() -> tuple[Weights, ...]:
    with np.load(UNSEEN, allow_pickle=False) as stored:
        return tuple(
            Weights(of.astype(np.float64), *map(float, numbers))
            for of, numbers in zip(stored["weights"], stored["numbers"], strict=True)
        )


def write(found: Fitted) -> None:
    for path, maps in ((WEIGHTS, (found.whole,)), (UNSEEN, found.folds)):
        weights = np.stack([m.of for m in maps]).astype(np.float32)
        numbers = np.array([(m.bias, m.notable, m.edge) for m in maps])
        np.savez(path, weights=weights, numbers=numbers)
        print(f"wrote {path.name}: {hashlib.sha256(path.read_bytes()).hexdigest()}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "fit"))
    parser.add_argument("--media", type=Path, help="the folder with manifest.csv")
    parser.add_argument("--packages", type=Path, help="the unpacked packages of learned_image.toml")
    parser.add_argument("--more", type=Path, help="the unpacked packages of tools/calibration's lists")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "learned_edit")
    parser.add_argument("--write", action="store_true", help="replace the shipped weights")
    asked = parser.parse_args()
    if asked.what == "make":
        make({"shared": asked.media, "packages": asked.packages, "more": asked.more}, asked.work)
        return
    data = load(asked.work)
    found = fitted(data)
    if asked.write:
        write(found)
    measure(data, found)


if __name__ == "__main__":
    main()
