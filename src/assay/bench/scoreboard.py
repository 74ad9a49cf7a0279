"""The scoreboard: what the panel is worth on sources that its maps, thresholds and heads never saw.

Every figure comes from a scores file alone. LLRs are cross-fitted; the threshold that a row is held against is made of
sources of other folds. So a row is judged as a new source would be by a calibration made without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from assay.bench import groups, metrics
from assay.bench.bootstrap import Estimate, Resampling
from assay.bench.calibrate import Calibrated, fold_of
from assay.bench.metrics import Flags, Floats
from assay.bench.rows import PEER, Row
from assay.bench.table import interval_text
from assay.types import Kind
from assay.verdict import calibration as tables
from assay.verdict.calibration import Calibration, pool_name
from assay.verdict.groups import Pool, read_pool
from assay.verdict.mixture import mixed

BUDGET = 0.01  # false alarms
REPLICATES = 500


@dataclass(frozen=True, slots=True)
class Judged:
    """One rendition, judged by a calibration that never saw its source."""

    row: Row
    llrs: Mapping[str, float]  # of each calibrated detector that spoke
    fused: float  # NaN: none spoke
    over: bool  # over the threshold of its group
    covered: bool  # its group has a threshold

    @property
    def strongest(self) -> str | None:
        """The detector that says most for a fake."""
        name = max(self.llrs, key=lambda d: self.llrs[d], default=None)
        return name if name is not None and self.llrs[name] > 0 else None


def judge(found: Calibrated, budget: float = BUDGET) -> list[Judged]:
    """Fuse and decide every row of a calibration's scores, each by what was learned from other sources.

    Parameters
    ----------
    found
        As `calibrate` gives it.
    budget
        False alarms that thresholds allow.
    """
    rows, known = found.scores.rows, tables.unfitted()
    names, llrs = found.detectors, found.llrs
    folds = [fold_of(r.source) for r in rows]
    pools: dict[int, dict[str, Pool]] = {}
    for fold in sorted(set(folds)):
        others = [i for i, f in enumerate(folds) if f != fold]
        laid = groups.pools([rows[i] for i in others], llrs[others], names)
        pools[fold] = {name: read_pool(pool, found.scores.cards) for name, pool in laid.items()}
    totals = summed(found).tolist()
    limits: dict[tuple[object, ...], float | None] = {}
    judged = []
    for i, r in enumerate(rows):
        mine = {n: float(v) for n, v in zip(names, llrs[i].tolist(), strict=True) if not math.isnan(v)}
        key = (folds[i], r.context.media_family, r.context.size_bin, r.context.quality or 0, *sorted(mine))
        if key not in limits:
            limits[key] = _limit(pools[folds[i]], r, sorted(mine), known, budget)
        fused, limit = totals[i], limits[key]
        reached = limit is not None and fused >= limit
        judged.append(Judged(r, mine, fused, reached, limit is not None))
    return judged


def _limit(
    pools: Mapping[str, Pool],
    r: Row,
    panel: Sequence[str],
    known: Calibration,
    budget: float,
) -> float | None:
    pool = pools.get(pool_name(r.context.media_family, r.context.size_bin))
    if pool is None or not panel:
        return None
    caps = {f: known.cap(f) for f in pool.families}
    group = pool.group(panel, r.context.quality or 0, caps, known.shares[r.context.media_family])
    threshold = None if group is None else group.threshold(budget)
    return None if threshold is None else threshold.value


@dataclass(frozen=True, slots=True)
class Figures:
    """What one selection of rows shows."""

    auc: Estimate
    tpr: Estimate  # at 1 % false positives of this selection
    found: Estimate  # fakes over the thresholds that hold for new sources
    false_alarms: Estimate
    cllr: Estimate
    ece: Estimate
    rows: tuple[int, int]  # bona fide, fake
    sources: tuple[int, int]


def figures(
    chosen: Sequence[Judged], value: Callable[[Judged], float], *, calibrated: bool = True
) -> Figures:
    """Measure a selection by one number of each row; rows of NaN are left out.

    Parameters
    ----------
    chosen
        Rows.
    value
        The number: fused LLR, a detector's LLR, a peer's score.
    calibrated
        Is it an LLR, so that Cllr and ECE mean something?
    """
    pairs = [(j, value(j)) for j in chosen]
    pairs = [(j, v) for j, v in pairs if not math.isnan(v)]
    values = np.array([v for _, v in pairs])
    fake = np.array([j.row.fake for j, _ in pairs], bool)
    again = Resampling([j.row.source for j, _ in pairs], fake, replicates=REPLICATES)
    over = np.array([j.over for j, _ in pairs], bool)
    nothing = Estimate(math.nan, math.nan, math.nan, 0, 0)
    return Figures(
        auc=again.auc(values),
        tpr=again.tpr_at(values),
        found=again.share(over, fake=True),
        false_alarms=again.share(over, fake=False),
        cllr=again.cllr(values) if calibrated else nothing,
        ece=again.ece(values) if calibrated else nothing,
        rows=(int((~fake).sum()), int(fake.sum())),
        sources=(again.sources(fake=False), again.sources(fake=True)),
    )


def _pool(r: Row) -> str:
    return pool_name(r.context.media_family, r.context.size_bin)


def fused(j: Judged) -> float:
    return j.fused


def by_detector(name: str) -> Callable[[Judged], float]:
    if name.startswith(PEER):
        return lambda j: j.row.scores.get(name, math.nan)
    return lambda j: j.llrs.get(name, math.nan)


def detectors_table(judged: Sequence[Judged], found: Calibrated) -> Iterator[str]:
    """Panel, detectors and peers, each where it spoke: all fakes, and those of the kinds that its LLRs are about."""
    yield "| | AUC, all fakes | AUC, kinds that it claims | TPR at 1 % FPR, those kinds | Cllr, those kinds, bits | ECE, those kinds | bona fide / fake rows (sources) |"
    yield "|---|---|---|---|---|---|---|"
    peers = sorted({n for j in judged for n in j.row.scores if n.startswith(PEER)})
    for name in ("panel", *found.detectors, *peers):
        value = fused if name == "panel" else by_detector(name)
        claims = set(found.scores.cards[name]["claims"]) if name in found.detectors else set()
        own = [j for j in judged if not j.row.fake or not claims or j.row.kind in claims]
        every = figures(judged, value, calibrated=False)
        claimed = figures(own, value, calibrated=not name.startswith(PEER))
        yield (
            f"| {name} | {interval_text(every.auc)} | {interval_text(claimed.auc)} | {interval_text(claimed.tpr)} "
            f"| {interval_text(claimed.cllr)} | {interval_text(claimed.ece)} | {counts(every)} |"
        )


def panel_table(parts: Mapping[str, Sequence[Judged]], heading: str) -> Iterator[str]:
    """The panel on selections: fakes of a part against the bona fide rows that stand in it."""
    if not parts:
        yield "No such rows."
        return
    yield f"| {heading} | AUC | TPR at 1 % FPR | called fake at the 1 % thresholds | false alarms there | ECE | bona fide / fake rows (sources) |"
    yield "|---|---|---|---|---|---|---|"
    for name, chosen in parts.items():
        f = figures(chosen, fused)
        yield (
            f"| {name} | {interval_text(f.auc)} | {interval_text(f.tpr)} | {interval_text(f.found)} "
            f"| {interval_text(f.false_alarms, 3)} | {interval_text(f.ece)} | {counts(f)} |"
        )


def parts_by(
    judged: Sequence[Judged], of: Callable[[Row], str], *, shared_bona_fide: bool
) -> dict[str, list[Judged]]:
    """Split rows by a word of each; with `shared_bona_fide` the fakes of a part stand against all bona fide rows."""
    honest = [j for j in judged if not j.row.fake]
    names = sorted({of(j.row) for j in judged if (j.row.fake or not shared_bona_fide) and of(j.row)})
    parts = {}
    for name in names:
        own = [j for j in judged if of(j.row) == name]
        parts[name] = [*honest, *(j for j in own if j.row.fake)] if shared_bona_fide else own
    return parts


def alarms_table(parts: Mapping[str, Sequence[Judged]]) -> Iterator[str]:
    """False alarms on bona fide media, sources (cameras) drawn anew."""
    yield "| bona fide media | called fake | rate | rows without a threshold | rows (sources) |"
    yield "|---|---|---|---|---|"
    for name, chosen in parts.items():
        honest = [j for j in chosen if not j.row.fake]
        fake = np.zeros(len(honest), bool)
        again = Resampling([j.row.source for j in honest], fake, replicates=REPLICATES)
        over = np.array([j.over for j in honest], bool)
        rate = again.share(over, fake=False)
        bare = sum(not j.covered for j in honest)
        yield f"| {name} | {int(over.sum())} | {interval_text(rate, 3)} | {bare} | {len(honest)} ({rate.sources}) |"


def regions_table(judged: Sequence[Judged]) -> Iterator[str]:
    """Region F1 by kind: of each detector, 0 where it showed none, and of the one that said most for a fake."""
    yield "| kind | regions of | F1 | rows (sources) |"
    yield "|---|---|---|---|"
    fakes = [j for j in judged if j.row.fake and j.row.f1]
    for kind in sorted({j.row.kind for j in fakes}):
        own = [j for j in fakes if j.row.kind == kind]
        fake = np.ones(len(own), bool)
        again = Resampling([j.row.source for j in own], fake, replicates=REPLICATES)
        told = {"panel": np.array([j.row.f1.get(j.strongest or "", 0.0) for j in own])}
        for name in sorted({d for j in own for d in j.row.f1}):
            told[name] = np.array([j.row.f1.get(name, 0.0) for j in own])
        for name, values in told.items():
            if name == "panel" or values.max() > 0:
                e = again.mean(values, fake=True)
                yield f"| {kind} | {name} | {interval_text(e)} | {len(own)} ({e.sources}) |"


def counts(f: Figures) -> str:
    return f"{f.rows[0]} / {f.rows[1]} ({f.sources[0]} / {f.sources[1]})"


Gain = tuple[float, float, float]  # with a detector minus without it, and the 95 % interval


@dataclass(frozen=True, slots=True)
class Contribution:
    """What the fused result loses without one detector, on sources that nothing was fitted on."""

    detector: str
    auc: Gain  # all fakes
    own_auc: Gain  # fakes of the kinds that it claims
    own_tpr: Gain  # of those, at 1 % false positives
    rows: int  # of those kinds, and bona fide
    sources: int


def contributions(found: Calibrated, chosen: Callable[[Row], bool] = lambda _: True) -> list[Contribution]:
    """Leave out one detector at a time; differences are paired: the same drawn sources on both sides."""
    rows, full = found.scores.rows, summed(found)
    kept = ~np.isnan(full) & np.array([chosen(r) for r in rows], bool)
    told = []
    for name in found.detectors:
        claims = set(found.scores.cards[name]["claims"])
        own = kept & np.array([not r.fake or not claims or r.kind in claims for r in rows], bool)
        less = np.nan_to_num(summed(found, name))
        auc, _ = _differences(rows, kept, full, less)
        own_auc, own_tpr = _differences(rows, own, full, less)
        sources = len({(r.fake, r.source) for r, yes in zip(rows, own.tolist(), strict=True) if yes})
        told.append(Contribution(name, auc, own_auc, own_tpr, int(own.sum()), sources))
    return told


def summed(found: Calibrated, without: str = "") -> Floats:
    """Fuse every row, in nats; NaN where nobody that is left spoke. Shape (R,)."""
    rows, names = found.scores.rows, np.array(found.detectors)
    total = np.full(len(rows), np.nan)
    spoke = ~np.isnan(found.llrs) & (names != without)
    media = np.array([r.context.media_family for r in rows])
    for family in np.unique(media).tolist():
        for panel in np.unique(spoke[media == family], axis=0):
            if panel.any():
                own = (media == family) & (spoke == panel).all(axis=1)
                total[own] = _mixed(found, own, panel, family)
    return total


def _mixed(found: Calibrated, own: Flags, panel: Flags, media_family: str) -> Floats:
    """Fuse rows on which the same detectors spoke: those of `panel`, shape (D,)."""
    known = tables.unfitted()
    cards = [found.scores.cards[found.detectors[k]] for k in np.flatnonzero(panel).tolist()]
    families = [str(card["family"]) for card in cards]
    claims = [frozenset(map(Kind, card["claims"])) for card in cards]
    caps = {f: known.cap(f) for f in families}
    return mixed(found.llrs[own][:, panel], families, claims, caps, known.shares[media_family])


def _differences(rows: Sequence[Row], chosen: Flags, full: Floats, less: Floats) -> tuple[Gain, Gain]:
    """Differences of AUC and of TPR at 1 % false positives."""
    own = [rows[i] for i in np.flatnonzero(chosen).tolist()]
    again = Resampling([r.source for r in own], np.array([r.fake for r in own]), replicates=REPLICATES)
    gains = []
    for figure in (metrics.auc_of, partial(metrics.tpr_at_of, fpr=metrics.FPR)):
        a, b = (float(figure(metrics.counts(v[chosen], again.fake))) for v in (full, less))
        x, y = (figure(again.counts(v[chosen])) for v in (full, less))
        low, high = np.nanquantile(x - y, (0.025, 0.975))
        gains.append((a - b, float(low), float(high)))
    return gains[0], gains[1]


def contributions_table(told: Sequence[Contribution]) -> Iterator[str]:
    yield "| detector | AUC, all fakes | AUC, kinds that it claims | TPR at 1 % FPR, those kinds | rows (sources) |"
    yield "|---|---|---|---|---|"
    for c in told:
        gains = (f"{v:+.3f} [{low:+.3f} to {high:+.3f}]" for v, low, high in (c.auc, c.own_auc, c.own_tpr))
        yield f"| {c.detector} | {' | '.join(gains)} | {c.rows} ({c.sources}) |"
