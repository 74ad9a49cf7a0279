"""Does a corpus betray its labels? How well they can be told from bytes, format, size and metadata alone.

A detector that learned such a shortcut scores well here and is worthless elsewhere, and a calibration made on such a
corpus promises what it cannot keep. Each shortcut predicts the labels of sources that it was not fitted on; `LIMIT` is the
AUC above which a corpus is refused. Why .70: honest corpora of different cameras and generators differ a little in size
and quality and reach .5 to .65; the ones that ruined published detectors (fakes PNG, bona fide JPEG) reach .9 and more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.bench import shortcuts
from assay.bench.bootstrap import Estimate, Resampling
from assay.bench.manifest import Entry, Manifest, read
from assay.bench.metrics import Flags, Floats
from assay.bench.shortcuts import BYTES, ENCODER, NAMES, NUMBERS, Traits, Unread
from assay.bench.table import interval_text
from assay.errors import AssayError
from assay.report.escape import printable
from assay.settings import Limits
from assay.types import JSON

LIMIT = 0.70
FOLDS = 5
BINS = 8  # of a number
MOST_WORDS = 24  # of a shortcut; rarer ones count as one
RIDGE = 1.0
ALL = "all together"
UNIFORM = 0.98  # share of samples under one encoder from which bytes measure content


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How well one shortcut tells the labels, and by what."""

    name: str
    auc: Estimate
    telling: str  # the value whose shares differ most
    counts: bool = True  # False: it measures content here, and is only told


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found."""

    manifest: Path
    limit: float
    found: tuple[Shortcut, ...]  # the most telling first, `ALL` at the end
    unread: tuple[Unread, ...]
    n: tuple[int, int]  # bona fide, fake

    @property
    def betraying(self) -> tuple[Shortcut, ...]:
        """Shortcuts over the limit, established to be better than chance."""
        return tuple(s for s in self.found if s.counts and s.auc.value > self.limit and s.auc.low > 0.5)

    @property
    def betrayed(self) -> bool:
        return bool(self.betraying)

    @property
    def known(self) -> bool:
        """Are there enough sources to say anything?"""
        return any(s.auc.known and s.auc.high - s.auc.low < 0.9 for s in self.found)


def audit(manifest: Manifest, *, limit: float = LIMIT, seed: int = 0, limits: Limits | None = None) -> Audit:
    """Measure every shortcut of a corpus.

    Raises
    ------
    AssayError
        If the corpus has one class alone.
    """
    manifest.needs_both_classes()
    told = list(shortcuts.traits(manifest.entries, limits or Limits()))
    pairs = [(e, t) for e, t in zip(manifest.entries, told, strict=True) if isinstance(t, Traits)]
    found = measured([e for e, _ in pairs], [t for _, t in pairs], seed=seed)
    fakes = sum(e.fake for e, _ in pairs)
    unread = tuple(t for t in told if isinstance(t, Unread))
    return Audit(manifest.path, limit, found, unread, (len(pairs) - fakes, fakes))


def refuse_if_confounded(
    corpus: Manifest | Path, *, limit: float = LIMIT, limits: Limits | None = None
) -> Audit:
    """Audit a corpus and refuse it where its labels can be told without looking at the media.

    Parameters
    ----------
    corpus
        A manifest, its path, or a scores file of `assay bench run`, which names its manifest.
    limit
        AUC that a shortcut may reach.

    Raises
    ------
    AssayError
        With code "confounded" and the shortcuts; with code "manifest" if the corpus cannot be had.
    """
    manifest = corpus if isinstance(corpus, Manifest) else read(_manifest_of(corpus))
    found = audit(manifest, limit=limit, limits=limits)
    if found.betrayed:
        worst = ", ".join(f"{s.name} (AUC {interval_text(s.auc)})" for s in found.betraying)
        raise AssayError(
            f"{manifest.path} betrays its labels without its content: {worst}; the limit is {limit:.2f}",
            code="confounded",
            hint=f"See assay bench audit {manifest.path}; --align brings both classes to one codec, size and quality.",
        )
    return found


def _manifest_of(path: Path) -> Path:
    """The manifest itself, or the one that a scores file was made from, unchanged since."""
    if path.suffix != ".parquet":
        return path
    from assay.bench.parquet import told_of

    told = told_of(path)
    named = Path(str(told.get("manifest_path", "")))
    tried = [named, path.parent / named, path.parent / named.name]
    for place in tried:
        if place.is_file():
            if read(place).digest != told.get("manifest"):
                raise AssayError(f"{place} changed since {path} was made from it", code="manifest")
            return place
    raise AssayError(
        f"{path} was made from {named}, which is not there any more",
        code="manifest",
        hint="Bring it back, with its media, beside the scores: the audit reads them.",
    )


def measured(entries: Sequence[Entry], told: Sequence[Traits], *, seed: int = 0) -> tuple[Shortcut, ...]:
    """Measure every shortcut on samples whose traits are known; those that never vary are left out."""
    fake = np.array([e.fake for e in entries], bool)
    sources = [e.source for e in entries]
    if not fake.any() or fake.all():
        return ()
    drawn = Resampling(sources, fake, seed=seed)
    fold = folds(sources, fake, seed)
    content = set(BYTES) if _one_encoder(told) else set()
    found: list[Shortcut] = []
    coded: list[NDArray[np.intp]] = []
    for name in NAMES:
        values = _coded(told, name)
        if values.max() == 0:
            continue
        scores = cross_fitted([values], fake, fold)
        found.append(
            Shortcut(name, drawn.auc(scores), _telling(told, name, values, fake), name not in content)
        )
        if name not in content:
            coded.append(values)
    found.sort(key=lambda s: -s.auc.value)
    if len(coded) > 1:
        found.append(Shortcut(ALL, drawn.auc(cross_fitted(coded, fake, fold)), ""))
    return tuple(found)


def _one_encoder(told: Sequence[Traits]) -> bool:
    """Was (nearly) everything written by one encoder at one setting?"""
    seen = Counter(tuple(str(t.words.get(n, t.numbers.get(n))) for n in ENCODER) for t in told)
    return seen.most_common(1)[0][1] >= UNIFORM * len(told)


def folds(sources: Sequence[str], fake: Flags, seed: int) -> NDArray[np.intp]:
    """Deal sources to `FOLDS` folds, those with fakes and those without in turn, so that each fold has both."""
    rng = np.random.default_rng(seed)
    with_fakes = {s for s, f in zip(sources, fake.tolist(), strict=True) if f}
    fold: dict[str, int] = {}
    for group in (with_fakes, set(sources) - with_fakes):
        names = sorted(group)
        rng.shuffle(names)
        fold |= {name: k % FOLDS for k, name in enumerate(names)}
    return np.array([fold[s] for s in sources], np.intp)


def _coded(told: Sequence[Traits], name: str) -> NDArray[np.intp]:
    """Number the values of a shortcut: bins of equal mass, or words, from 0."""
    if name in NUMBERS:
        numbers = np.array([t.numbers[name] for t in told], np.float64)
        there = np.isfinite(numbers)
        inner = np.linspace(0, 1, BINS + 1)[1:-1]
        edges = np.unique(np.quantile(numbers[there], inner)) if there.any() else np.zeros(0)
        values = np.where(there, 1 + np.searchsorted(edges, numbers, side="right"), 0)
    else:
        words = [t.words[name] for t in told]
        common = [w for w, _ in Counter(words).most_common(MOST_WORDS)]
        values = np.array([common.index(w) + 1 if w in common else 0 for w in words])
    return np.unique(values, return_inverse=True)[1].astype(np.intp)


def cross_fitted(coded: Sequence[NDArray[np.intp]], fake: Flags, fold: NDArray[np.intp]) -> Floats:
    """Predict each sample's label from its values by a logistic model that saw no sample of its source's fold.

    Parameters
    ----------
    coded : sequence of ndarray of int, each of shape (N,)
        One-hot coded here.
    fake : ndarray of bool, shape (N,)
    fold : ndarray of int, shape (N,)

    Returns
    -------
    scores : ndarray of float64, shape (N,)
        Log-odds; 0 for values that the other folds do not hold.
    """
    hot = np.concatenate([np.eye(int(v.max()) + 1)[v] for v in coded], axis=1)
    scores = np.zeros(fake.size)
    for k in np.unique(fold).tolist():
        learn, judge = fold != k, fold == k
        if fake[learn].any() and not fake[learn].all():
            scores[judge] = hot[judge] @ logistic(hot[learn], fake[learn])
    return scores


def logistic(x: Floats, fake: Flags, steps: int = 12) -> Floats:
    """Fit a ridge-penalised logistic model by Newton's method, classes weighing the same; without intercept.

    Parameters
    ----------
    x : ndarray of float64, shape (N, D)
    fake : ndarray of bool, shape (N,)

    Returns
    -------
    weights : ndarray of float64, shape (D,)
    """
    n = fake.size
    heavy = np.where(fake, n / (2 * fake.sum()), n / (2 * (~fake).sum()))
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (heavy * (fake - p)) - RIDGE * weights
        curvature = (x * (heavy * p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(x.shape[1])
        step = np.linalg.solve(curvature, gradient)
        weights += step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def _telling(told: Sequence[Traits], name: str, values: NDArray[np.intp], fake: Flags) -> str:
    """Say which value the classes share least."""
    size = int(values.max()) + 1
    shares = [np.bincount(values[k], minlength=size) / k.sum() for k in (~fake, fake)]
    worst = int(np.argmax(np.abs(shares[1] - shares[0])))
    own = [t for t, v in zip(told, values.tolist(), strict=True) if v == worst]
    if name in NUMBERS:
        numbers = [t.numbers[name] for t in own if math.isfinite(t.numbers[name])]
        what = f"{min(numbers):.4g} to {max(numbers):.4g}" if numbers else "none"
    else:
        what = own[0].words[name]
    return f"{what}: {shares[0][worst]:.0%} of bona fide, {shares[1][worst]:.0%} of fakes"


def lines(found: Audit) -> Iterator[str]:
    """The audit as a person at a terminal reads it."""
    yield f"{found.manifest}: {found.n[0]} bona fide samples, {found.n[1]} fakes"
    for s in found.found:
        mark = "  BETRAYS" if s in found.betraying else "" if s.counts else "  (content, one encoder)"
        yield f"  {s.name:20} {interval_text(s.auc):17}{mark}  {printable(s.telling, limit=110)}".rstrip()
    for u in found.unread[:5]:
        yield f"  not read: {printable(u.name, limit=60)}: {printable(u.why, limit=100)}"
    if len(found.unread) > 5:
        yield f"  not read: {len(found.unread) - 5} more"
    if found.betrayed:
        yield f"The labels can be told without the content (limit {found.limit:.2f}). Do not calibrate on it."
        yield "Bring both classes to one codec, size and quality: assay bench audit ... --align OUT"
    elif not found.known:
        yield "Too few sources to tell: no shortcut is established, none is excluded."
    else:
        yield f"No shortcut is over {found.limit:.2f}."


def plain(found: Audit) -> JSON:
    """The audit as JSON."""
    return {
        "schema": "assay/bench-audit/1",
        "manifest": str(found.manifest),
        "limit": found.limit,
        "betrayed": found.betrayed,
        "n_bona_fide": found.n[0],
        "n_fake": found.n[1],
        "shortcuts": [
            {
                "name": s.name,
                "auc": s.auc.value if s.auc.known else None,
                "low": s.auc.low if s.auc.known else None,
                "high": s.auc.high if s.auc.known else None,
                "telling": s.telling,
                "counts": s.counts,
                "betrays": s in found.betraying,
            }
            for s in found.found
        ],
        "unread": [{"path": u.name, "why": u.why} for u in found.unread],
    }
