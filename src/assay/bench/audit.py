"""Does a corpus betray its labels? How well they can be told from bytes, format, size and metadata alone.

A detector that learned such a shortcut scores well here and is worthless elsewhere, and a calibration made on such a
corpus promises what it cannot keep. Each shortcut predicts the labels of sources that it was not fitted on; `LIMIT` is the
AUC above which a corpus is refused. Why .70: honest corpora of different cameras and generators differ a little in size
and quality and reach .5 to .65; the ones that ruined published detectors (fakes PNG, bona fide JPEG) reach .9 and more.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.bench import shortcuts, tags
from assay.bench.bootstrap import Estimate, Resampling
from assay.bench.crossfit import cross_fitted, folds
from assay.bench.manifest import Entry, Manifest, read
from assay.bench.metrics import Flags
from assay.bench.shortcuts import BYTES, ENCODER, NAMES, NUMBERS, Traits, Unread
from assay.bench.table import interval_text
from assay.bench.tags import Marks
from assay.errors import AssayError
from assay.report.escape import printable
from assay.settings import Limits
from assay.types import JSON

LIMIT = 0.70
BINS = 8  # of a number
MOST_WORDS = 24  # of a shortcut; rarer ones count as one
ALL, WITH_MARKS = "all together", "all and metadata"
KEYS, VALUES = "metadata keys", "metadata values"
ALSO = 3  # further keys that are told of a shortcut
CLEAR = 0.5  # share by which the classes differ in them
UNIFORM = 0.98  # share of samples under one encoder from which bytes measure content


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How well one shortcut tells the labels, and by what."""

    name: str
    auc: Estimate
    telling: str  # the value whose shares differ most
    counts: bool = True  # False: it measures content here, and is only told
    also: tuple[str, ...] = ()  # other keys of the metadata that differ clearly


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found."""

    manifest: Path
    limit: float
    found: tuple[Shortcut, ...]  # the most telling first, all together at the end
    unread: tuple[Unread, ...]
    n: tuple[int, int]  # bona fide, fake

    @property
    def betraying(self) -> tuple[Shortcut, ...]:
        """Shortcuts over the limit, established to be better than chance."""
        return tuple(s for s in self.found if s.counts and s.auc.value > self.limit and s.auc.low > 0.5)

    @property
    def over(self) -> tuple[Shortcut, ...]:
        """Shortcuts whose estimate is over the limit, established or not, counted or not."""
        return tuple(s for s in self.found if s.auc.known and s.auc.value > self.limit)

    @property
    def doubtful(self) -> tuple[Shortcut, ...]:
        """Shortcuts over the limit that so few sources do not tell from chance."""
        return tuple(s for s in self.over if s.counts and s not in self.betraying)

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
    tried = [path.parent / named, named, path.parent / named.name]
    for place in tried:
        if os.path.isfile(place):  # false, too, of a name that cannot be one
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
        auc = drawn.auc(cross_fitted([values], fake, fold))
        found.append(Shortcut(name, auc, _telling(told, name, values, fake), name not in content))
        if name not in content:
            coded.append(values)
    held: list[Flags] = []
    for name, marks in zip((KEYS, VALUES), tags.marks([t.tags for t in told], sources), strict=True):
        if marks.names:
            held.append(marks.distinct)
            auc = drawn.auc(cross_fitted([], fake, fold, held[-1:]))
            telling, *also = _telling_marks(marks, fake)
            found.append(Shortcut(name, auc, telling, also=tuple(also)))
    found.sort(key=lambda s: -s.auc.value)
    if len(coded) > 1:
        found.append(Shortcut(ALL, drawn.auc(cross_fitted(coded, fake, fold)), ""))
    if held and len(coded) + len(held) > 1:  # besides, since many marks can drown what the rest would tell
        found.append(Shortcut(WITH_MARKS, drawn.auc(cross_fitted(coded, fake, fold, held)), ""))
    return tuple(found)


def _one_encoder(told: Sequence[Traits]) -> bool:
    """Was (nearly) everything written by one encoder at one setting?"""
    seen = Counter(tuple(str(t.words.get(n, t.numbers.get(n))) for n in ENCODER) for t in told)
    return seen.most_common(1)[0][1] >= UNIFORM * len(told)


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
    return _shares(what, float(shares[0][worst]), float(shares[1][worst]))


def _telling_marks(marks: Marks, fake: Flags) -> Iterator[str]:
    """Say which mark the classes share least, then the best one of other keys that differ clearly."""
    bona, fakes = (share.tolist() for share in marks.shares(fake))
    best: dict[str, int] = {}
    for k in sorted(range(len(bona)), key=lambda k: (-abs(fakes[k] - bona[k]), bona[k] - fakes[k])):
        best.setdefault(marks.keys[k], k)
    for place, k in enumerate(best.values()):
        if not place or (place <= ALSO and abs(fakes[k] - bona[k]) >= CLEAR):
            yield _shares(marks.names[k], bona[k], fakes[k])


def _shares(what: str, bona: float, fakes: float) -> str:
    return f"{what}: {bona:.0%} of bona fide, {fakes:.0%} of fakes"


def lines(found: Audit) -> Iterator[str]:
    """The audit as a person at a terminal reads it."""
    yield f"{printable(str(found.manifest))}: {found.n[0]} bona fide samples, {found.n[1]} fakes"
    for s in found.found:
        mark = _mark(s, found)
        yield f"  {s.name:20} {interval_text(s.auc):17}{mark}  {printable(s.telling, limit=110)}".rstrip()
        if s in found.over:
            yield from (f"{'':40}  also {printable(more, limit=110)}" for more in s.also)
    for u in found.unread[:5]:
        yield f"  not read: {printable(u.name, limit=60)}: {printable(u.why, limit=100)}"
    if len(found.unread) > 5:
        yield f"  not read: {len(found.unread) - 5} more"
    yield from _conclusion(found)


def _mark(s: Shortcut, found: Audit) -> str:
    if s in found.betraying:
        return "  BETRAYS"
    if s in found.doubtful:
        return "  NOT SURE"
    return "" if s.counts else "  (content, one encoder)"


def _conclusion(found: Audit) -> Iterator[str]:
    """What follows from the table, and what to do."""
    limit = f"{found.limit:.2f}"
    if found.betrayed:
        yield f"The labels can be told without the content (limit {limit}). Do not calibrate on it."
        yield "Bring both classes to one codec, size and quality: assay bench audit ... --align OUT"
    elif 0 in found.n:
        yield "One class could not be read at all: nothing can be said."
    elif not found.found:
        yield "The samples do not differ in anything but their content."
    elif not found.known:
        yield "Too few sources to tell: no shortcut is established, none is excluded."
    if found.doubtful:
        yield (
            f"Over {limit}, and not sure with {found.doubtful[0].auc.sources} sources in the smaller class, since the"
            f" intervals reach down to chance: {_listed(found.doubtful)}."
        )
        if not found.betrayed:
            yield "Do not trust it yet: audit more sources of both classes, or align it (--align OUT)."
    elif found.known and not found.betrayed:
        yield from _nothing_over(found)


def _nothing_over(found: Audit) -> Iterator[str]:
    if found.over:  # none of them counts
        yield (
            f"No other shortcut is over {found.limit:.2f}: here, {_listed(found.over)} measures content, since one encoder"
            " wrote (nearly) everything at one setting."
        )
    else:
        yield f"No shortcut is over {found.limit:.2f}."
    reaching = [s for s in found.found if s.counts and s.auc.value <= found.limit < s.auc.high]
    if reaching:
        what, reach = ("intervals", "reach") if len(reaching) > 1 else ("interval", "reaches")
        yield f"The {what} of {_listed(reaching, 4)} {reach} over it: more sources would tell more."


def _listed(found: Sequence[Shortcut], most: int = 20) -> str:
    told = [f"{s.name} {interval_text(s.auc)}" for s in found]
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")


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
                "also": list(s.also),
                "counts": s.counts,
                "betrays": s in found.betraying,
                "doubtful": s in found.doubtful,
            }
            for s in found.found
        ],
        "unread": [{"path": u.name, "why": u.why} for u in found.unread],
    }
