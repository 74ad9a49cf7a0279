"""From rows to figures: for every detector and for the panel, over all and by what samples have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from assay.bench import metrics
from assay.bench.bootstrap import Estimate, Resampling
from assay.bench.cache import TROUBLES
from assay.bench.fused import PANEL, Fused, alone
from assay.bench.manifest import Entry
from assay.bench.metrics import Flags
from assay.bench.run import Scored
from assay.types import Label
from assay.verdict.calibration import SIZES, Calibration

BREAKDOWN_REPLICATES = 300
ALWAYS = ("laundering", "family", "generator", "size")  # groupings that are shown with one value, too


@dataclass(frozen=True, slots=True)
class Line:
    """One detector (or the panel) on one rendition, as figures need it."""

    entry: Entry
    laundering: str
    size: str
    score: float  # NaN: it did not speak
    llr: float  # NaN: not calibrated here
    fake: bool  # what it says: over the shipped threshold
    decided: bool
    f1: float  # NaN: no mask
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """What one detector is worth on one selection of rows."""

    n: tuple[int, int]  # rows, bona fide and fake, failed ones not among them
    heard: tuple[int, int]  # those of them that it scored: what AUC, EER and TPR rest on
    sources: tuple[int, int]
    spoke: Estimate  # share of rows that it scored
    auc: Estimate
    eer: Estimate
    tpr: Estimate  # at 1 % FPR
    false_alarms: Estimate  # bona fide rows over the shipped threshold
    found: Estimate  # fakes over it
    cllr: Estimate
    min_cllr: float
    ece: Estimate
    decided: Estimate
    f1: Estimate
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One value of one grouping: the figures of every column there."""

    name: str
    against_all: bool  # fakes of this part stand against bona fide samples of all parts
    figures: dict[str, Figures]


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures of a run. Columns are detector names and "panel"."""

    removed: dict[str, Figures]  # metadata removed
    kept: dict[str, Figures]  # files as they are, metadata on; empty if not asked for
    parts: dict[str, tuple[Part, ...]] = field(default_factory=dict)  # grouping -> values
    lines: dict[str, list[Line]] = field(default_factory=dict)  # of `removed`, for the curves


def lines_of(
    rows: Iterable[Scored], fused: Iterable[Fused], calibration: Calibration, budget: float, *, metadata: bool
) -> dict[str, list[Line]]:
    """Gather rows by column, those with or those without metadata."""
    columns: dict[str, list[Line]] = {}
    for f in fused:
        if f.metadata == metadata:
            columns.setdefault(PANEL, []).append(_panel_line(f))
    for r in rows:
        if r.metadata == metadata:
            columns.setdefault(r.detector, []).append(_line(r, calibration, budget))
    return columns


def _panel_line(f: Fused) -> Line:
    decided = f.verdict.label is not Label.INCONCLUSIVE
    weighed = f.verdict.threshold is not None or f.verdict.llr != 0 or decided
    return Line(
        f.entry,
        f.laundering,
        size_name(f.width, f.height),
        f.verdict.llr,
        f.verdict.llr if weighed else math.nan,
        f.fake,
        decided,
        math.nan,
    )


def _line(r: Scored, calibration: Calibration, budget: float) -> Line:
    llr, fake = alone(r, calibration, budget)
    result = r.result
    return Line(
        r.entry,
        r.laundering,
        size_name(result.width, result.height),
        math.nan if result.score is None else result.score,
        math.nan if llr is None else llr,
        fake,
        fake,
        math.nan if result.region_f1 is None else result.region_f1,
        result.outcome in TROUBLES,
    )


def size_name(width: int, height: int) -> str:
    """Name the short side's range as calibration does."""
    if not width:
        return "sound"
    return next(name for name, limit in SIZES if min(width, height) < limit)


def figures(lines: Sequence[Line], *, replicates: int, seed: int = 0) -> Figures:
    """Compute all figures of a column; a class that is missing, or silence, gives NaN."""
    there = [x for x in lines if not x.failed]
    fake = np.array([x.entry.fake for x in there], bool)
    drawn = Resampling([x.entry.source for x in there], fake, replicates=replicates, seed=seed)
    score = np.array([x.score for x in there], np.float64)
    spoke = np.isfinite(score)
    llr = np.array([x.llr for x in there], np.float64)
    said = np.array([x.fake for x in there], bool)
    heard = _some(there, spoke, drawn, replicates, seed)
    weighed = _some(there, np.isfinite(llr), drawn, replicates, seed)
    judged = bool(np.isfinite(llr).any())  # without a map it calls nothing fake, and nothing honest
    nothing = Estimate(math.nan, math.nan, math.nan, 0, 0)
    return Figures(
        n=(int((~fake).sum()), int(fake.sum())),
        heard=(int((spoke & ~fake).sum()), int((spoke & fake).sum())),
        sources=(drawn.sources(fake=False), drawn.sources(fake=True)),
        spoke=drawn.share_of_all(spoke),
        auc=heard.auc(score[spoke]),
        eer=heard.eer(score[spoke]),
        tpr=heard.tpr_at(score[spoke]),
        false_alarms=drawn.share(said, fake=False) if judged else nothing,
        found=drawn.share(said, fake=True) if judged else nothing,
        cllr=weighed.cllr(llr[np.isfinite(llr)]),
        min_cllr=metrics.min_cllr(score[spoke], fake[spoke]),
        ece=weighed.ece(llr[np.isfinite(llr)]),
        decided=drawn.share_of_all(np.array([x.decided for x in there], bool)) if judged else nothing,
        f1=drawn.mean(np.array([x.f1 for x in there], np.float64), fake=True),
        failed=len(lines) - len(there),
    )


def _some(lines: Sequence[Line], chosen: Flags, every: Resampling, replicates: int, seed: int) -> Resampling:
    """Draw among the rows that carry a number; mostly these are all of them."""
    if chosen.all():
        return every
    kept = [x for x, c in zip(lines, chosen.tolist(), strict=True) if c]
    fake = np.array([x.entry.fake for x in kept], bool)
    return Resampling([x.entry.source for x in kept], fake, replicates=replicates, seed=seed)


GROUPINGS: dict[str, Callable[[Line], str]] = {
    "laundering": lambda x: x.laundering,
    "family": lambda x: x.entry.family or "(none)",
    "generator": lambda x: x.entry.generator or ("(unnamed)" if x.entry.fake else ""),
    "kind": lambda x: str(x.entry.kind) if x.entry.kind else ("(unnamed)" if x.entry.fake else ""),
    "size": lambda x: x.size,
    "source": lambda x: x.entry.source,
}


def parts(columns: dict[str, list[Line]], grouping: str, *, most: int = 200) -> tuple[Part, ...]:
    """Figures by the values of one grouping, in the order of names, at most `most` of them.

    A part with fakes alone (a generator, a family of forgeries) has them stand against all bona fide samples; one with
    bona fide samples alone has false alarms and no AUC.
    """
    of = GROUPINGS[grouping]
    names = sorted({of(x) for lines in columns.values() for x in lines if not x.failed} - {""})
    made = []
    for name in names[:most]:
        own = {c: [x for x in lines if of(x) == name] for c, lines in columns.items()}
        classes = {x.entry.fake for lines in own.values() for x in lines}
        against = classes == {True} and grouping in ("family", "generator", "kind")
        if against:
            own = {c: [*lines, *(x for x in columns[c] if not x.entry.fake)] for c, lines in own.items()}
        told = {c: figures(lines, replicates=BREAKDOWN_REPLICATES) for c, lines in own.items() if lines}
        made.append(Part(name, against, told))
    return tuple(made)


def summarise(
    rows: Sequence[Scored],
    fused: Sequence[Fused],
    calibration: Calibration,
    budget: float,
    *,
    replicates: int = 1000,
) -> Summary:
    """Compute every figure of a run."""
    removed, kept = (lines_of(rows, fused, calibration, budget, metadata=m) for m in (False, True))
    whole = {c: figures(lines, replicates=replicates) for c, lines in removed.items()}
    with_metadata = {c: figures(lines, replicates=replicates) for c, lines in kept.items()}
    by = {g: parts(removed, g) for g in GROUPINGS}
    return Summary(
        whole, with_metadata, {g: p for g, p in by.items() if len(p) > 1 or (p and g in ALWAYS)}, removed
    )


def plain(f: Figures) -> dict[str, object]:
    """Figures as JSON; what is not known is null."""
    told: dict[str, object] = {
        "n_bona_fide": f.n[0],
        "n_fake": f.n[1],
        "scored_bona_fide": f.heard[0],
        "scored_fake": f.heard[1],
        "sources_bona_fide": f.sources[0],
        "sources_fake": f.sources[1],
        "failed": f.failed,
        "min_cllr": f.min_cllr if math.isfinite(f.min_cllr) else None,
    }
    for name in ("spoke", "auc", "eer", "tpr", "false_alarms", "found", "cllr", "ece", "decided", "f1"):
        e: Estimate = getattr(f, name)
        high = e.high if math.isfinite(e.high) else None
        told[name] = (
            {"value": e.value, "low": e.low, "high": high, "n": e.n, "sources": e.sources}
            if e.known
            else None
        )
    return told
