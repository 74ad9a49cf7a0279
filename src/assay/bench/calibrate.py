"""Calibrate: from the scores of a bench run to calibration.json, score maps and the pools that thresholds are set on.

Each source weighs the same, however many renditions of it there are. A detector's scores become LLRs by a map of their
own for every size and, where that is clearly better, for ranges of JPEG quality: isotonic, or logistic in the score or
its logarithm, the one with the least freedom whose Cllr, on sources left out of bootstrap samples, is within one
standard error of the best. All are cut at +- log(sources) and at what the counts at either end allow. The LLRs that
thresholds are set on come from maps that never saw the source (cross-fitted, split by source).

A map is fitted on fakes of the kinds that its detector claims, and fusion uses it for those alone (`verdict.mixture`):
to a detector of synthetic pictures a splice looks honest, and its silence says nothing against one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.bench import groups, maps
from assay.bench.maps import METHODS, Fit
from assay.bench.metrics import Flags, Floats, cllr
from assay.bench.rows import Row, Scores
from assay.errors import AssayError
from assay.types import JSON
from assay.verdict import calibration as tables
from assay.verdict.calibration import SIZES, Cell

LEAST = 20  # sources of each class below which a cell has no map
FOLDS = 5
REPLICATES = 60  # bootstrap samples
EVERY = (0, 100)  # JPEG qualities: stands in, last, for conditions with too few sources
QUALITIES = ((0, 0), (1, 84), (85, 94), (95, 100))  # 0: no JPEG; a good last save keeps traces, a bad one not


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """All that one detector said, without the rows on which it was silent."""

    name: str
    card: JSON
    row: NDArray[np.int64]  # (N,) its place among all rows
    scores: Floats  # (N,)
    fake: Flags
    learns: Flags  # bona fide, or of a kind that the detector claims
    source: NDArray[np.int64]  # (N,) codes
    size: NDArray[np.int64]  # (N,) index in SIZES
    quality: NDArray[np.int64]  # (N,) 0: no JPEG
    fold: NDArray[np.int64]
    worth: Floats  # (N,) 1, but for feedback

    def inside(self, size: int, quality: tuple[int, int]) -> Flags:
        """Rows under one condition."""
        within: Flags = (self.size == size) & (self.quality >= quality[0]) & (self.quality <= quality[1])
        return within

    def weights(self, chosen: Flags) -> Floats:
        """One for each source and class, shared by its renditions; shape (N,), zero outside of `chosen`."""
        key = self.source * 2 + self.fake
        often = np.bincount(key[chosen], minlength=int(key.max()) + 1)
        w: Floats = np.where(chosen, self.worth / np.maximum(often[key], 1), 0.0)
        return w

    def sources(self, chosen: Flags) -> tuple[int, int]:
        """Count bona fide and fake sources."""
        return tuple(len(np.unique(self.source[chosen & (self.fake == side)])) for side in (False, True))  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A cell's map and how good it is on sources that it did not see."""

    cell: Cell
    method: str
    cllr: float
    cllr_range: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Everything of one calibration, before it is laid out."""

    scores: Scores
    detectors: tuple[str, ...]
    fitted: Mapping[str, Sequence[Fitted]]
    llrs: Floats  # (R, D) cross-fitted, NaN where a detector did not speak or was not fitted
    skipped: Mapping[str, str] = field(default_factory=dict)  # detector -> why it got no map

    def looks_for(self, kind: str, panel: Collection[str]) -> bool:
        """Does one of these detectors claim fakes of this kind? Who claims none speaks of all."""
        claims = [self.scores.cards[name]["claims"] for name in panel]
        return any(not own or kind in own for own in claims)


def calibrate(scores: Scores, *, seed: int = 1, replicates: int = REPLICATES) -> Calibrated:
    """Fit every measured detector of these scores.

    Parameters
    ----------
    scores
        As `read_scores` joins them.
    seed
        Of the bootstrap.
    replicates
        Bootstrap samples of sources by which methods and cells are chosen.

    Raises
    ------
    AssayError
        One class is missing, or no class has `LEAST` sources.
    """
    _enough(scores.rows)
    columns, skipped = _columns(scores)
    fitted = {c.name: fit_column(c, seed, replicates) for c in columns}
    for c in columns:
        if not fitted[c.name]:
            honest, fake = c.sources(c.learns)
            skipped[c.name] = f"{honest} bona fide and {fake} fake sources, and no size has {LEAST} of each"
    heard = [c for c in columns if fitted[c.name]]
    llrs = np.full((len(scores.rows), len(heard)), np.nan)
    for k, c in enumerate(heard):
        llrs[c.row, k] = cross_fitted(c, fitted[c.name])
    return Calibrated(
        scores, tuple(c.name for c in heard), {c.name: fitted[c.name] for c in heard}, llrs, skipped
    )


def _enough(rows: Sequence[Row]) -> None:
    counts = {side: len({r.source for r in rows if r.fake is side}) for side in (False, True)}
    for side, word in ((False, "bona fide"), (True, "fake")):
        if counts[side] == 0:
            raise AssayError(f"there are no {word} media: a calibration compares two classes", code="bench")
    if min(counts.values()) < LEAST:
        raise AssayError(
            f"too few sources: {counts[False]} bona fide and {counts[True]} fake ones, and a map needs {LEAST} of each",
            code="bench",
            hint="Renditions of one source count once. Add media of other cameras, persons or scenes.",
        )


def _columns(scores: Scores) -> tuple[list[Column], dict[str, str]]:
    known = tables.unfitted()
    source = np.unique(np.array([r.source for r in scores.rows]), return_inverse=True)[1]
    fold = np.array([fold_of(r.source) for r in scores.rows])
    columns, skipped = [], {}
    for name, card in sorted(scores.cards.items()):
        if known.weighs_reasons(name):
            skipped[name] = "its reasons are weighed by table"
            continue
        row = np.array([i for i, r in enumerate(scores.rows) if _speaks(r, name)], dtype=np.int64)
        if not len(row):
            skipped[name] = "it never spoke"
            continue
        own = [scores.rows[i] for i in row.tolist()]
        claims = set(card["claims"])
        columns.append(
            Column(
                name=name,
                card=card,
                row=row,
                scores=np.array([r.scores[name] for r in own]),
                fake=np.array([r.fake for r in own]),
                learns=np.array([not r.fake or not claims or r.kind in claims for r in own]),
                source=source[row],
                size=np.array([_size(r) for r in own]),
                quality=np.array([r.context.quality or 0 for r in own]),
                fold=fold[row],
                worth=np.array([r.weight for r in own]),
            )
        )
    return columns, skipped


def _speaks(r: Row, name: str) -> bool:
    return name in r.scores and r.context.size_bin is not None


def _size(r: Row) -> int:
    return next(k for k, (name, _) in enumerate(SIZES) if name == r.context.size_bin)


def fold_of(source: str) -> int:
    """Put a source into a fold by its name alone, so that its renditions stay together in every file."""
    return hashlib.sha256(source.encode()).digest()[0] % FOLDS


def fit_column(column: Column, seed: int, replicates: int) -> list[Fitted]:
    """Fit one detector under every condition that has sources enough, narrow conditions first."""
    found = []
    for size in range(len(SIZES)):
        wide = column.learns & column.inside(size, EVERY)
        counts = column.sources(wide)
        if min(counts) < LEAST:
            continue
        draws = _draws(column, wide, seed, replicates)
        chosen, costs = _choose(column, wide, draws)
        for quality in QUALITIES:
            narrow = column.learns & column.inside(size, quality)
            if min(column.sources(narrow)) < LEAST or bool((narrow == wide).all()):
                continue
            own, own_costs = _choose(column, narrow, draws)
            as_wide = left_out(column, wide, narrow, METHODS[chosen], draws)
            if _clearly_better(own_costs, as_wide):
                found.append(_fitted(column, narrow, size, quality, own, own_costs))
        found.append(_fitted(column, wide, size, EVERY, chosen, costs))
    return found


def _draws(column: Column, chosen: Flags, seed: int, replicates: int) -> NDArray[np.int64]:
    """Draw bootstrap samples of sources: how often each row's source was drawn, shape (B, N)."""
    rng = np.random.default_rng(seed)
    sources, inverse = np.unique(column.source, return_inverse=True)
    own = np.unique(inverse[chosen])
    often = np.zeros((replicates, len(sources)), np.int64)
    for b in range(replicates):
        often[b] = np.bincount(rng.choice(own, len(own)), minlength=len(sources))
    times: NDArray[np.int64] = often[:, inverse]
    return times


def _choose(column: Column, chosen: Flags, draws: NDArray[np.int64]) -> tuple[str, Floats]:
    judged = {name: left_out(column, chosen, chosen, fit, draws) for name, fit in METHODS.items()}
    clean = {name: costs[~np.isnan(costs)] for name, costs in judged.items()}
    if not all(len(c) for c in clean.values()):  # no sample left both classes out: take the least free
        return next(iter(METHODS)), np.full(len(draws), np.nan)
    method = maps.simplest(clean)
    return method, judged[method]


def left_out(column: Column, learn: Flags, judge: Flags, fit: Fit, draws: NDArray[np.int64]) -> Floats:
    """Fit on the drawn sources, and judge by Cllr on those that were not: one number a draw, NaN where too few."""
    weights = column.weights(learn)
    judged = column.weights(judge)
    bound = math.log(min(column.sources(learn)))
    costs = np.full(len(draws), np.nan)
    for b, times in enumerate(draws):
        seen, out = learn & (times > 0), judge & (times == 0)
        sides = [int((m & (column.fake == side)).sum()) for m in (seen, out) for side in (False, True)]
        if min(sides) < 2:
            continue
        xs, ys = fit(column.scores[seen], column.fake[seen], (weights * times)[seen])
        llrs = np.interp(column.scores[out], xs, np.clip(ys, -bound, bound))
        costs[b] = cllr(llrs, column.fake[out], judged[out])
    return costs


def _clearly_better(own: Floats, other: Floats) -> bool:
    """Is a cell's own map better than the wide one by more than one standard error of the difference?"""
    gain = (other - own)[~np.isnan(other - own)]
    return len(gain) > 1 and float(np.median(gain)) > float(gain.std())


def _fitted(
    column: Column, chosen: Flags, size: int, quality: tuple[int, int], method: str, costs: Floats
) -> Fitted:
    known = costs[~np.isnan(costs)]
    middle = float(np.median(known)) if len(known) else math.nan
    low, high = np.quantile(known, (0.05, 0.95)) if len(known) else (math.nan, math.nan)
    return Fitted(
        fit_cell(column, chosen, METHODS[method], SIZES[size][0], quality),
        method,
        middle,
        (float(low), float(high)),
    )


def fit_cell(column: Column, chosen: Flags, fit: Fit, size: str, quality: tuple[int, int]) -> Cell:
    """Fit one map on the chosen rows, and cut it to what its sources allow."""
    columns = column.scores[chosen], column.fake[chosen], column.weights(chosen)[chosen]
    xs, ys = fit(*columns)
    steps = maps.isotonic(*columns)[1]  # a smooth map may not claim more than the counts at either end
    counts = column.sources(chosen)
    bound = math.log(max(min(counts), 1))
    ys = np.clip(ys, max(-bound, float(steps[0])), min(bound, float(steps[-1])))
    xs = np.array([float(f"{x:.6g}") for x in xs.tolist()])
    keep = np.concatenate([[True], np.diff(xs) > 0])
    llrs = np.maximum.accumulate(np.round(ys[keep], 4))
    return Cell(size, quality, tuple(xs[keep].tolist()), tuple(llrs.tolist()), counts)


def cross_fitted(column: Column, fitted: Sequence[Fitted]) -> Floats:
    """Turn every score into nats by maps that never saw its source; NaN outside of all cells. Shape (N,)."""
    llrs = np.full(len(column.scores), np.nan)
    for fold in range(FOLDS):
        own, rest = column.fold == fold, column.learns & (column.fold != fold)
        for f in reversed(fitted):  # the narrow ones, listed first, have the last word
            size = next(k for k, (name, _) in enumerate(SIZES) if name == f.cell.size)
            inside = column.inside(size, f.cell.quality)
            learn = inside & rest
            if min(column.sources(learn)) == 0:
                llrs[own & inside] = np.nan
                continue
            cell = fit_cell(column, learn, METHODS[f.method], f.cell.size, f.cell.quality)
            llrs[own & inside] = np.interp(column.scores[own & inside], cell.scores, cell.llrs)
    return llrs


def described(found: Calibrated) -> dict[str, Any]:
    """Lay everything out as calibration.json; its version is named by its date and its content."""
    cards = found.scores.cards
    drawn = np.array([r.drawn for r in found.scores.rows])
    measuring = [r for r in found.scores.rows if r.drawn]
    body = {
        "format": tables.FORMAT,
        "inputs": dict(found.scores.inputs),
        "detectors": {
            name: {
                "version": cards[name]["version"],
                "media_family": _media_family(found, name),
                "family": cards[name]["family"],
                "claims": sorted(cards[name]["claims"]),
                "cells": [_plain(f) for f in cells],
            }
            for name, cells in found.fitted.items()
        },
        "pools": groups.pools(measuring, found.llrs[drawn], found.detectors),
    }
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:8]
    return {"version": f"{today}-{digest}", "created": today} | body


def _media_family(found: Calibrated, name: str) -> str:
    return next(str(r.context.media_family) for r in found.scores.rows if name in r.scores)


def _plain(f: Fitted) -> dict[str, Any]:
    return {
        "size": f.cell.size,
        "quality": list(f.cell.quality),
        "method": f.method,
        "n_bona_fide": f.cell.sources[0],
        "n_fake": f.cell.sources[1],
        "cllr": None if math.isnan(f.cllr) else round(f.cllr, 3),
        "cllr_90": None if math.isnan(f.cllr) else [round(x, 3) for x in f.cllr_range],
        "knots": [list(k) for k in zip(f.cell.scores, f.cell.llrs, strict=True)],
    }


def laid_out(value: Any, depth: int = 0) -> str:
    """Write JSON with a line for each list of numbers, so that a change can be read."""
    if isinstance(value, dict) and value:
        inner = ",\n".join(
            f"{' ' * (depth + 1)}{json.dumps(k)}: {laid_out(v, depth + 1)}" for k, v in value.items()
        )
        return f"{{\n{inner}\n{' ' * depth}}}"
    if isinstance(value, list) and value and isinstance(value[0], list) and len(value[0]) > 2:
        rows = ",\n".join(json.dumps(v, separators=(",", ":")) for v in value)
        return f"[\n{rows}\n{' ' * depth}]"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        inner = ",\n".join(f"{' ' * (depth + 1)}{laid_out(v, depth + 1)}" for v in value)
        return f"[\n{inner}\n{' ' * depth}]"
    return json.dumps(value)
