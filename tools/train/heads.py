"""Heads for `learned_image`: fitted on the embedded views, standardised, and kept apart by source and generator."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import corpus
import embeddings
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import Ridge

from assay.evidence.detectors.learned_image import LOOK, Head, Part

FOLDS = 5
EDGES = (123, 300, 700)  # pixels of the short side, between the size bins
BINS = ("64-122", "123-299", "300-699", "700-1500")
STRENGTH = {"late": 0.2, "middle": 0.3}  # penalty of each part's ridge regression, for each feature
PAIRS = 0.1  # weight of all reconstruction pairs in the middle part, beside 1 of all other pictures
BUDGET = 0.01  # false alarms
# Part of a manifest's generator, in lower case: how the training list's sets of it begin.
GENERATORS = {
    "stable diffusion 3": "sd3",
    "sd3": "sd3",
    "gemini": "gemini",
    "nano banana": "gemini",
    "comfyui": "comfyui",
}
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Set:
    """What the encoder said and what is known of each row, in a fixed order."""

    late: Floats  # (N, 3072)
    middle: Floats  # (N, 2304)
    fake: Mask
    set: NDArray[np.str_]
    source: NDArray[np.str_]
    content: NDArray[np.str_]
    condition: NDArray[np.str_]
    history: NDArray[np.str_]
    bin: NDArray[np.int64]
    fold: NDArray[np.int64]
    rows: tuple[corpus.Row, ...]

    @property
    def matched(self) -> Mask:
        """Rows of equal size, codec and quality in both classes."""
        return self.condition == "matched"

    @property
    def pair(self) -> Mask:
        """Photographs and their reconstructions."""
        return self.condition == "pair"

    @property
    def trained(self) -> Mask:
        """Rows that a head may learn from: inpainted pictures, mostly bona fide, only measure."""
        return (self.matched & (self.set != "inpaint")) | (self.condition == "large") | self.pair


def fold_of(source: str) -> int:
    plain = " ".join(source.removeprefix("camera:").split())
    return int(hashlib.sha256(plain.encode()).hexdigest(), 16) % FOLDS


def prepared(found: embeddings.Embedded) -> Set:
    rows = found.rows
    order = sorted(range(len(rows)), key=lambda i: json.dumps(asdict(rows[i]), sort_keys=True))
    rows = tuple(rows[i] for i in order)
    column = {
        k: np.array([str(getattr(r, k)) for r in rows])
        for k in ("set", "source", "content", "condition", "history")
    }
    return Set(
        late=found.late[order].astype(np.float64),
        middle=found.middle[order].astype(np.float64),
        fake=np.array([r.label == "fake" for r in rows]),
        bin=np.digitize([r.short for r in rows], EDGES),
        fold=np.array([fold_of(r.source) for r in rows]),
        rows=rows,
        **column,
    )


def weights(data: Set, chosen: Mask) -> Floats:
    """Weigh rows so that neither size, content nor what a picture went through tells the classes apart.

    Within a cell of equal content, size bin and history both classes weigh the same, as far as both are there; then both
    classes are brought to the same sum.
    """
    w = np.zeros(len(data.rows))
    if not chosen.any():
        return w
    kinds = itertools.product(np.unique(data.content), range(len(BINS)), np.unique(data.history))
    for content, size, history in kinds:
        cell = chosen & (data.content == content) & (data.bin == size) & (data.history == history)
        sides = [cell & (data.fake == fake) for fake in (False, True)]
        both = min(s.sum() for s in sides) >= 3
        for side in sides:
            w[side] = cell.sum() / 2 / max(1, side.sum()) if both else 1.0
    for fake in (False, True):
        side = chosen & (data.fake == fake)
        w[side] *= chosen.sum() / 2 / max(w[side].sum(), 1e-9)
    return w


def balanced(data: Set, chosen: Mask, share: float) -> Floats:
    """Weights of pictures and of reconstruction pairs: each in itself, then all pairs `share` times all pictures."""
    pictures, pairs = weights(data, chosen & ~data.pair), weights(data, chosen & data.pair)
    if pairs.any() and pictures.any():
        pairs *= share * pictures.sum() / pairs.sum()
    return pictures + pairs


def fit(x: Floats, fake: Mask, w: Floats, strength: float) -> Part:
    """A ridge regression of the classes on standardised features, folded back to the features' own scale.

    With more features than rows it does what a logistic regression does, in closed form.
    """
    mean = np.average(x, axis=0, weights=w)
    spread = x.std(axis=0) + 1e-6
    model = Ridge(alpha=strength * x.shape[1])
    model.fit((x - mean) / spread, np.where(fake, 1.0, -1.0), sample_weight=w * len(w) / w.sum())
    weight = model.coef_ / spread
    return Part(weight, float(model.intercept_ - weight @ mean))


def fit_part(data: Set, name: str, chosen: Mask) -> Part:
    """The late part learns from pictures alone, the middle one from pictures and reconstructions."""
    if name == "late":
        chosen = chosen & ~data.pair
    w = balanced(data, chosen, PAIRS)
    return fit(getattr(data, name)[chosen], data.fake[chosen], w[chosen], STRENGTH[name])


@dataclass(frozen=True)
class Family:
    """Heads that all left out the same generators, and what rows score by a head that saw nothing of their source."""

    heads: tuple[Head, ...]  # by fold: the one that did not see it
    late: Floats  # (N,) out of fold, standardised
    middle: Floats
    scales: dict[
        str, tuple[float, float]
    ]  # of each part: mean and spread of bona fide scores before standardising

    @property
    def both(self) -> Floats:
        return LOOK * self.late + (1 - LOOK) * self.middle


def family(data: Set, without: Mask) -> Family:
    """Fit a head for each fold without its sources and without the rows `without`.

    Each part is brought to one scale: its out-of-fold scores of matched bona fide pictures have mean 0 and standard
    deviation 1. So heads of different folds and families can be compared, and no fake enters into the scale.
    """
    fitted = [
        {name: fit_part(data, name, data.trained & ~without & (data.fold != k)) for name in STRENGTH}
        for k in range(FOLDS)
    ]
    bona_fide = (data.matched | data.pair) & ~data.fake
    own = np.arange(len(data.rows))
    scaled: list[dict[str, Part]] = [{} for _ in range(FOLDS)]
    scores, scales = {}, {}
    for name in STRENGTH:
        x = getattr(data, name)
        raw = np.stack([x @ parts[name].weight + parts[name].bias for parts in fitted])[data.fold, own]
        middle, spread = float(raw[bona_fide].mean()), float(raw[bona_fide].std())
        scales[name] = (middle, spread)
        scores[name] = (raw - middle) / spread
        for parts, part in zip(scaled, fitted, strict=True):
            parts[name] = rescaled(part[name], middle, spread)
    both = LOOK * scores["late"] + (1 - LOOK) * scores["middle"]
    notable = float(np.quantile(both[bona_fide & data.matched], 1 - BUDGET))
    heads = tuple(Head(parts["late"], parts["middle"], notable) for parts in scaled)
    return Family(heads, scores["late"], scores["middle"], scales)


def rescaled(part: Part, middle: float, spread: float) -> Part:
    return Part(part.weight / spread, (part.bias - middle) / spread)


class Heads:
    """Heads for benches: each sample is scored by one that saw neither its source nor its generator.

        heads = Heads(cache, {"shared": media, "packages": packages})
        head = heads.for_sample(source, generator, digests)
        LearnedImage(sessions, head).examine(view)

    Five folds by source. Sources are compared without the prefix "camera:" and with single spaces, so that a manifest's
    "Canon Canon PowerShot A70" is the training list's camera; a source outside of the training list falls into a
    fold too, by its own digest. Where a sample, or a parent of it, is itself a file of the training list, `digests`
    finds it whatever the manifest calls its source. A splice of two parents may touch two folds: its head saw neither.
    Scales are comparable between heads (see `family`). Fitting one family takes some ten seconds; it is kept in memory.
    """

    def __init__(self, cache: Path, roots: dict[str, Path]) -> None:
        self._data = prepared(embeddings.embed(cache, roots))
        self._sources = _digests(cache, roots)
        self._families: dict[str, Family] = {}
        self._rare: dict[tuple[str, frozenset[int]], Head] = {}

    def for_sample(self, source: str, generator: str, digests: Iterable[str] = ()) -> Head:
        """Give the head that saw neither.

        Parameters
        ----------
        source : str
            Camera, person, scene or picture, as in a manifest.
        generator : str
            "" for bona fide. A name that contains one of `GENERATORS` leaves out that one's pictures;
            "reconstruct:KIND" (or "reconstruct:KIND_FACTOR") all reconstructions by that kind of upsampling layer,
            "reconstruct" alone all reconstructions. Any other was not learned from.
        digests : iterable of str
            SHA-256, hexadecimal, of the sample's file and of its parents', as far as known.
        """
        known = {self._sources[d] for d in digests if d in self._sources}
        folds = frozenset(fold_of(s) for s in known or {source})
        left = left_out(generator)
        if len(folds) == 1:
            if left not in self._families:
                self._families[left] = family(self._data, without(self._data, left))
            return self._families[left].heads[next(iter(folds))]
        if (left, folds) not in self._rare:
            self._rare[left, folds] = _one(self._data, without(self._data, left), folds)
        return self._rare[left, folds]


def left_out(generator: str) -> str:
    """What to leave out for a generator of that name: a name of `GENERATORS`' values, "reconstruct:KIND", or ""."""
    name = generator.lower()
    if name.startswith("reconstruct"):
        return name.split("_")[0]
    return next((own for part, own in GENERATORS.items() if part in name), "")


def without(data: Set, left: str) -> Mask:
    """Rows that a head must not see when `left` is to be unseen: its fakes (and the parents of left-out pairs)."""
    if not left:
        return np.zeros(len(data.rows), bool)
    if left.startswith("reconstruct"):
        kind = left.partition(":")[2]
        return data.pair & np.array([r.set.partition(":")[2].startswith(kind) for r in data.rows])
    named = np.array([f"/{left}__" in r.name for r in data.rows])  # a workflow that ran the same generator
    return np.char.startswith(data.set, left) | named


def _one(data: Set, left: Mask, folds: frozenset[int]) -> Head:
    """A head that saw nothing of several folds; their bona fide pictures give its scale."""
    outside = np.isin(data.fold, list(folds))
    bona_fide = data.matched & ~data.fake & outside
    parts, scores = {}, np.zeros(int(bona_fide.sum()))
    for name in STRENGTH:
        part = fit_part(data, name, data.trained & ~left & ~outside)
        raw = getattr(data, name)[bona_fide] @ part.weight + part.bias
        parts[name] = rescaled(part, float(raw.mean()), float(raw.std()))
        scores += (LOOK if name == "late" else 1 - LOOK) * (raw - raw.mean()) / raw.std()
    return Head(parts["late"], parts["middle"], float(np.quantile(scores, 1 - BUDGET)))


def _digests(cache: Path, roots: dict[str, Path]) -> dict[str, str]:
    """The source of every file of the training list, by SHA-256."""
    stored = cache / "digests.json"
    if not stored.exists():
        found = {}
        for group in embeddings.listed():
            for path in corpus.files(group, roots):
                with Image.open(path) as opened:
                    found[hashlib.sha256(path.read_bytes()).hexdigest()] = corpus.source_of(
                        path, group, opened
                    )
        stored.write_text(json.dumps(found))
    known: dict[str, str] = json.loads(stored.read_text())
    return known
