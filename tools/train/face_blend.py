"""Train the head of `face_blend`, measure it, and write the weights that ship.

    assay models pull clip_vit_b16_int8 face_detection_full_range face_landmark
    python tools/train/face_blend.py --media ../shared/data --cache CACHE            # embeds what is missing, measures
    python tools/train/face_blend.py --media ../shared/data --cache CACHE --write    # and writes the head

Everything is seeded. One encoder pass a crop, kept in CACHE one file a pair, so that a run that was stopped goes on
where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import face_pairs
import numpy as np
from numpy.typing import NDArray

from assay import config
from assay.evidence import models
from assay.evidence.detectors.face_blend import ENCODER, FaceBlend, Head
from assay.media import faces

HERE = Path(__file__).parent
WEIGHTS = HERE.parents[1] / "src/assay/evidence/weights/face_blend.npz"
SHRINKAGES = (0.3, 1.0, 3.0, 10.0, 30.0)  # one is chosen by cross-validation
FOLDS = 5
ROUNDS = 1000  # of the bootstrap
BUDGET = 0.05  # of untouched faces of held-out persons: where the reason changes its words
SIZES = ((48, 64), (64, 100), (100, 160), (160, 330))
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Set:
    """Features and what is known of each row."""

    x: Floats  # (N, 3 D)
    rows: tuple[face_pairs.Row, ...]

    def where(self, test: Callable[[face_pairs.Row], bool]) -> Mask:
        return np.array([test(r) for r in self.rows])

    @property
    def fake(self) -> Mask:
        return self.where(lambda r: r.label == "fake")


def embed(media: Path, cache: Path, minutes: float) -> None:
    """Make and embed the pairs that the cache lacks, in their order, for at most so many minutes."""
    cv2.setNumThreads(1)
    sessions = models.sessions((ENCODER, faces.DETECTOR, faces.MESH), config.load().paths.models)
    detector = FaceBlend(sessions, Head(np.zeros(1), 0.0, 0.0))
    see = face_pairs.Faces(sessions[faces.DETECTOR], sessions[faces.MESH])
    listed = face_pairs.groups(HERE / "face_blend.toml")
    by_name = {g.name: g for g in listed}
    wanted, end, crops = face_pairs.jobs(listed, media), time.monotonic() + 60 * minutes, 0
    cache.mkdir(parents=True, exist_ok=True)
    for number, job in enumerate(wanted):
        stored = cache / (hashlib.sha256(job.name.encode()).hexdigest()[:24] + ".npz")
        if stored.exists():
            continue
        if time.monotonic() > end:
            print("the time is up", flush=True)
            return
        x, rows = [], []
        for row, square in face_pairs.made(job, by_name[job.group], wanted, see):
            x.append(detector.features(square).astype(np.float32))
            rows.append(face_pairs.plain(row))
        crops += len(rows)
        np.savez(stored, x=np.array(x), rows=json.dumps(rows))
        if number % 20 == 0:
            print(f"{number + 1} of {len(wanted)} jobs, {crops} crops", flush=True)


def loaded(cache: Path) -> Set:
    x, rows = [], []
    for path in sorted(cache.glob("*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            listed = json.loads(str(stored["rows"]))
            if listed:
                x.append(stored["x"].astype(np.float64))
                rows += [face_pairs.Row(**r) for r in listed]
    return Set(np.concatenate(x), tuple(rows))


def fit(data: Set, chosen: Mask, shrinkage: float) -> tuple[Floats, float]:
    """Fisher's linear discriminant on standardised features, its covariance shrunk towards the identity.

    Parameters
    ----------
    data : Set
    chosen : ndarray of bool, shape (N,)
        Rows to learn from.
    shrinkage : float
        What is added to each feature's variance of one.

    Returns
    -------
    weight : ndarray of float64, shape (3 D,)
        On the features' own scale.
    bias : float
        So that the middle between the classes' means scores zero.
    """
    x, y = data.x[chosen], data.fake[chosen]
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = (x - mean) / spread
    means = [z[y == v].mean(axis=0) for v in (False, True)]
    apart = means[1] - means[0]
    for v in (False, True):
        z[y == v] -= means[v]
    # (Z'Z / n + shrinkage I)^-1 apart, by the Woodbury identity: there are fewer rows than features.
    n = len(z)
    inner = np.linalg.solve(z @ z.T / n + shrinkage * np.eye(n), z @ apart)
    direction = (apart - z.T @ inner / n) / shrinkage
    weight: Floats = direction / spread
    return weight, float(-weight @ mean - direction @ (means[0] + means[1]) / 2)


def best_shrinkage(data: Set, chosen: Mask) -> float:
    """Cross-validate within the persons that train."""
    fold = np.array(
        [int(hashlib.sha256(f"fold {r.person}".encode()).hexdigest(), 16) % FOLDS for r in data.rows]
    )
    results = {}
    for shrinkage in SHRINKAGES:
        scores = np.full(len(data.rows), np.nan)
        for k in range(FOLDS):
            weight, bias = fit(data, chosen & (fold != k), shrinkage)
            held = chosen & (fold == k)
            scores[held] = data.x[held] @ weight + bias
        results[shrinkage] = auc(scores[chosen & data.fake], scores[chosen & ~data.fake])
    print("cross-validated AUC of the persons that train:", {k: round(v, 3) for k, v in results.items()})
    return max(results, key=lambda k: results[k])


def auc(fake: Floats, bona_fide: Floats) -> float:
    """Probability that a fake scores higher; ties count half."""
    order = np.sort(bona_fide)
    below, upto = np.searchsorted(order, fake, "left"), np.searchsorted(order, fake, "right")
    return float((below + upto).mean() / 2 / max(1, len(order)))


def interval(value: Callable[[NDArray[np.int64]], float], persons: NDArray[np.str_]) -> tuple[float, float]:
    """90 %, bootstrap over persons; `value` takes row numbers."""
    rng = np.random.default_rng(0)
    names, owner = np.unique(persons, return_inverse=True)
    own = [np.nonzero(owner == i)[0] for i in range(len(names))]
    drawn = []
    for _ in range(ROUNDS):
        picked = np.concatenate([own[i] for i in rng.integers(len(own), size=len(own))])
        drawn.append(value(picked))
    low, high = np.nanquantile(drawn, [0.05, 0.95])
    return float(low), float(high)


def line(name: str, data: Set, scores: Floats, chosen: Mask) -> str:
    """AUC, and the share of pairs whose fake scores higher than its own twin."""
    s, y = scores[chosen], data.fake[chosen]
    persons = np.array([r.person for r in data.rows])[chosen]
    pairs = np.array([r.pair for r in data.rows])[chosen]

    def area(i: NDArray[np.int64]) -> float:
        return auc(s[i][y[i]], s[i][~y[i]]) if y[i].any() and (~y[i]).any() else float("nan")

    low, high = interval(area, persons)
    higher = [float(s[(pairs == p) & y].mean() > s[(pairs == p) & ~y].mean()) for p in np.unique(pairs)]
    return (
        f"{name} | {area(np.arange(len(s))):.2f} [{low:.2f}-{high:.2f}] | {np.mean(higher):.2f} | "
        f"{len(np.unique(pairs))}/{len(np.unique(persons))}"
    )


def alarms(name: str, data: Set, scores: Floats, chosen: Mask, threshold: float) -> str:
    over = scores[chosen] >= threshold
    persons = np.array([r.person for r in data.rows])[chosen]
    low, high = interval(lambda i: float(over[i].mean()), persons)
    return f"{name} | {over.mean():.3f} [{low:.3f}-{high:.3f}] | {len(over)}/{len(np.unique(persons))}"


def measure(data: Set, scores: Floats) -> float:
    """Print the tables of the card; return the score that 5 % of held-out untouched faces reach."""
    test = data.where(lambda r: r.half == "test" and r.mode != "")
    print("\nheld-out persons | AUC | fake over its own twin | pairs/persons")
    print(line("all", data, scores, test))
    for column in ("set", "degradation", "mode"):
        for value in sorted({getattr(r, column) for r, t in zip(data.rows, test, strict=True) if t}):
            part = test & data.where(lambda r, c=column, v=value: getattr(r, c) == v)
            print(line(f"{column}: {value}", data, scores, part))
    for low, high in SIZES:
        part = test & data.where(lambda r, a=low, b=high: a <= r.side < b)
        if part.any():
            print(line(f"face of {low}-{high - 1} px", data, scores, part))
    bona_fide = test & ~data.fake
    threshold = float(np.quantile(scores[bona_fide], 1 - BUDGET))
    print(
        f"\nfalse alarms at {threshold:.3f} (5 % of held-out untouched portraits) | share | faces/persons or cameras"
    )
    for name in sorted({r.set for r in data.rows}):
        part = data.where(lambda r, n=name: r.set == n and r.half == "test" and r.label == "bona_fide")
        if part.any():
            print(alarms(name, data, scores, part, threshold))
    camera = data.where(lambda r: r.set == "camera")
    if camera.any():
        print(
            alarms(
                "camera, as it is",
                data,
                scores,
                camera & data.where(lambda r: r.degradation == "native"),
                threshold,
            )
        )
    print(alarms("recall of all fakes", data, scores, test & data.fake, threshold))
    return threshold


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--media", type=Path, required=True, help="the folder with manifest.csv")
    parser.add_argument("--cache", type=Path, required=True, help="where features are kept")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop embedding after that")
    parser.add_argument("--write", action="store_true", help="replace the shipped head")
    asked = parser.parse_args()
    embed(asked.media, asked.cache, asked.minutes)
    data = loaded(asked.cache)
    train = data.where(lambda r: r.half == "train")
    shrinkage = best_shrinkage(data, train)
    weight, bias = fit(data, train, shrinkage)
    print(
        f"{int(train.sum())} crops of {len({r.person for r, t in zip(data.rows, train, strict=True) if t})} persons, shrinkage {shrinkage}"
    )
    weight = weight.astype(np.float32).astype(np.float64)
    notable = measure(data, data.x @ weight + bias)
    if asked.write:
        np.savez(WEIGHTS, weight=weight.astype(np.float32), bias=bias, notable=notable)
        print(f"wrote {WEIGHTS.name}: {hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
