"""Fit calibration.json: score maps, and the fused scores that thresholds are set on.

    python tools/calibration/fit.py SCORES.json [SCORES.json ...] --out src/assay/verdict/calibration.json

A scores file holds what a detector said of media that it was not trained on:

    {"detectors": {"jpeg_grid": {"version": 1, "family": "jpeg", "claims": ["splice"], "share": 0.5}},
     "rows": [{"sample": "id", "source": "who or what both sides of a split must not share", "label": "bona_fide" | "fake",
               "kind": "splice" (of fakes), "media_family": "image", "width": 800, "height": 600, "quality": 85 or null,
               "scores": {"jpeg_grid": 3.2}}]}

Files that name the same sample are joined. A missing or null score means that the detector did not speak.

How: each source weighs the same, however many renderings of it there are. Scores become LLRs by isotonic regression
(pool adjacent violators) with one made-up source at each end, or by a logistic curve of the score or of its logarithm:
the one with the least freedom whose Cllr, on sources left out of bootstrap samples, is within one standard error of the
best. All are cut at +- log(sources) and at what the counts at either end allow. The fused scores that thresholds are set on come
from maps that never saw the source (cross-fitted, split by source); of its renderings, a bona fide source gives the
highest, a fake one that of a single rendering, drawn by its name, so that recall is that of any one rendering.

A map is fitted on fakes of the kinds that its detector claims, and then widened to all fakes: of those, a `share` is of
such kinds (a judgement), and to the others the detector is taken to be blind. So a detector of synthetic pictures that
sees nothing can never say more against a fake than log(1 - share), for a splice looks honest to it.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

import maps
from maps import METHODS, Fit, Floats

from assay.verdict import calibration as tables
from assay.verdict.calibration import Calibration, Cell, Context, ScoreMap, group_name, panel_llr

LEAST = 20  # sources of each class below which a cell has no map
FOLDS = 5
REPLICATES = 100  # bootstrap samples
EVERY = (0, 100)  # JPEG qualities: stands in, last, for conditions with too few sources


@dataclass(frozen=True, slots=True)
class Row:
    """One rendering of one source, and what each detector said of it."""

    sample: str
    source: str
    fake: bool
    kind: str
    context: Context
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cells:
    """How the conditions of one detector are cut up."""

    version: int
    family: str
    media_family: str = "image"
    qualities: tuple[tuple[int, int], ...] = (EVERY,)
    claims: frozenset[str] = frozenset()  # kinds of fakes that its map is fitted on; empty: all
    share: float = 1.0  # of such kinds among all fakes
    optional: bool = False  # it needs weights, and is silent everywhere without them
    methods: tuple[str, ...] = ("logistic", "isotonic")  # to choose from, the least free first

    def learns(self, row: Row) -> bool:
        """Is this row one to fit the detector's map on?"""
        return not row.fake or not self.claims or row.kind in self.claims


@dataclass(slots=True)
class Fitted:
    """A cell's map and how good it is on sources that it did not see."""

    cell: Cell
    method: str
    cllr: float
    cllr_range: tuple[float, float]
    notes: dict[str, Any] = field(default_factory=dict)


def read_rows(paths: Sequence[Path]) -> tuple[dict[str, Cells], list[Row]]:
    """Read and join scores files."""
    detectors: dict[str, Cells] = {}
    joined: dict[str, dict[str, Any]] = {}
    for path in paths:
        data = json.loads(path.read_text(encoding="utf-8"))
        for name, about in data["detectors"].items():
            detectors[name] = Cells(
                about["version"],
                about["family"],
                about.get("media_family", "image"),
                tuple((low, high) for low, high in about.get("qualities", [EVERY])),
                frozenset(about.get("claims", ())),
                about.get("share", 1.0),
                about.get("optional", False),
                tuple(about.get("methods", ("logistic", "isotonic"))),
            )
        for row in data["rows"]:
            known = joined.setdefault(row["sample"], {**row, "scores": {}})
            if (known["source"], known["label"]) != (row["source"], row["label"]):
                raise SystemExit(f"{path}: sample {row['sample']} has another source or label elsewhere")
            known["scores"] |= {
                k: float(v) for k, v in row["scores"].items() if v is not None and k in data["detectors"]
            }
    return detectors, [_row(r) for r in joined.values()]


def _row(r: Mapping[str, Any]) -> Row:
    context = Context(
        media_family=r.get("media_family", "image"),
        size_px=(int(r["width"]), int(r["height"])),
        quality=None if r.get("quality") is None else int(r["quality"]),
    )
    return Row(r["sample"], r["source"], r["label"] == "fake", r.get("kind") or "", context, r["scores"])


def fit_cell(
    rows: Sequence[Row], detector: str, about: Cells, size: str, quality: tuple[int, int], seed: int
) -> Fitted | None:
    """Fit one detector under one condition; None where the sources are too few."""
    inside = [r for r in rows if _inside(r, detector, size, quality)]
    counts = {side: len({r.source for r in inside if r.fake is side}) for side in (False, True)}
    if min(counts.values()) < LEAST:
        return None
    bound = math.log(min(counts.values()))
    judged = {name: _left_out(inside, detector, METHODS[name], bound, seed) for name in about.methods}
    method = simplest(judged)
    costs = judged[method]
    cell = _cell(inside, detector, METHODS[method], size, quality, about.share)
    low, high = np.quantile(costs, (0.05, 0.95))
    return Fitted(cell, method, float(np.median(costs)), (float(low), float(high)))


def simplest(judged: Mapping[str, Floats]) -> str:
    """Choose the first method (the least free stands first) whose cost is within one standard error of the best.

    References
    ----------
    L. Breiman et al., "Classification and regression trees", 1984: the one-standard-error rule.
    """
    best = min(judged, key=lambda name: float(np.median(judged[name])))
    allowed = float(np.median(judged[best]) + judged[best].std())
    return next(name for name in judged if float(np.median(judged[name])) <= allowed)


def _inside(r: Row, detector: str, size: str, quality: tuple[int, int]) -> bool:
    within = quality[0] <= (r.context.quality or 0) <= quality[1]
    return detector in r.scores and r.context.size_bin == size and within


def _columns(rows: Sequence[Row], detector: str) -> tuple[Floats, NDArray[np.bool_], Floats]:
    fake = np.array([r.fake for r in rows])
    weights = maps.source_weights([f"{r.fake}/{r.source}" for r in rows])
    return np.array([r.scores[detector] for r in rows]), fake, weights


def _cell(
    rows: Sequence[Row], detector: str, fit: Fit, size: str, quality: tuple[int, int], share: float
) -> Cell:
    columns = _columns(rows, detector)
    xs, ys = fit(*columns)
    steps = maps.isotonic(*columns)[1]  # a smooth map may not claim more than the counts at either end
    counts = tuple(len({r.source for r in rows if r.fake is side}) for side in (False, True))
    bound = math.log(max(min(counts), 1))
    ys = maps.widened(np.clip(ys, max(-bound, steps[0]), min(bound, steps[-1])), share)
    xs = np.array([round(x, 5) for x in xs.tolist()])
    ys = np.array([round(y, 4) for y in ys.tolist()])
    keep = np.concatenate([[True], np.diff(xs) > 0])
    return Cell(
        size,
        quality,
        tuple(xs[keep].tolist()),
        tuple(np.maximum.accumulate(ys[keep]).tolist()),
        (counts[0], counts[1]),
    )


def _left_out(rows: Sequence[Row], detector: str, fit: Fit, bound: float, seed: int) -> Floats:
    """Cllr on the sources that each bootstrap sample (drawn by source) left out."""
    rng = np.random.default_rng(seed)
    scores, fake, weights = _columns(rows, detector)
    names = np.array([r.source for r in rows])
    sources = np.unique(names)
    costs = []
    for _ in range(REPLICATES):
        drawn, times = np.unique(rng.choice(sources, len(sources)), return_counts=True)
        often = dict(zip(drawn.tolist(), times.tolist(), strict=True))
        count = np.array([often.get(n, 0) for n in names.tolist()], float)
        seen, out = count > 0, count == 0
        if min(fake[seen].sum(), (~fake[seen]).sum(), fake[out].sum(), (~fake[out]).sum()) < 2:
            continue
        xs, ys = fit(scores[seen], fake[seen], (weights * count)[seen])
        llrs = np.interp(scores[out], xs, np.clip(ys, -bound, bound))
        costs.append(maps.cllr(llrs, fake[out], weights[out]))
    return np.array(costs)


def fit_maps(rows: Sequence[Row], detectors: Mapping[str, Cells], seed: int) -> dict[str, list[Fitted]]:
    """Fit every detector under every condition that has sources enough."""
    found: dict[str, list[Fitted]] = {}
    for name, about in detectors.items():
        mine = [r for r in rows if r.context.media_family == about.media_family and about.learns(r)]
        found[name] = []
        for size, _ in tables.SIZES:
            narrow = [fit_cell(mine, name, about, size, q, seed) for q in about.qualities]
            wide = None if EVERY in about.qualities else fit_cell(mine, name, about, size, EVERY, seed)
            found[name] += [c for c in (*narrow, wide) if c is not None]
    return found


def refit(
    rows: Sequence[Row], detectors: Mapping[str, Cells], fitted: Mapping[str, list[Fitted]]
) -> dict[str, ScoreMap]:
    """Fit the same cells by the same methods on other rows, as cross-fitting needs."""
    found = {}
    for name, cells in fitted.items():
        again = []
        for f in cells:
            own = [r for r in rows if detectors[name].learns(r)]
            inside = [r for r in own if _inside(r, name, f.cell.size, f.cell.quality)]
            if len({r.fake for r in inside}) == 2:
                share = detectors[name].share
                again.append(_cell(inside, name, METHODS[f.method], f.cell.size, f.cell.quality, share))
        found[name] = ScoreMap(detectors[name].version, detectors[name].media_family, tuple(again))
    return found


def fold_of(source: str) -> int:
    """Put a source into a fold by its name alone, so that its renderings stay together in every file."""
    return hashlib.sha256(source.encode()).digest()[0] % FOLDS


def cross_fitted(
    rows: Sequence[Row], detectors: Mapping[str, Cells], fitted: Mapping[str, list[Fitted]]
) -> list[tuple[Row, dict[str, float]]]:
    """Turn every row's scores into LLRs by maps that never saw its source."""
    pairs = []
    for fold in range(FOLDS):
        known = _calibration(refit([r for r in rows if fold_of(r.source) != fold], detectors, fitted))
        for r in (r for r in rows if fold_of(r.source) == fold):
            llrs = {
                name: llr
                for name, score in r.scores.items()
                if (llr := known.llr_of_score(name, detectors[name].version, score, r.context)) is not None
            }
            pairs.append((r, llrs))
    return pairs


def _calibration(maps: Mapping[str, ScoreMap]) -> Calibration:
    reasons = tomllib.loads((tables.HERE / "reasons.toml").read_text(encoding="utf-8"))
    empty = tables.read(reasons, {"version": "fit", "detectors": {}, "groups": {}}, {})
    return Calibration("fit", empty.weights, empty.caps, maps, {}, empty.by_score)


def fused_groups(
    pairs: Sequence[tuple[Row, dict[str, float]]], detectors: Mapping[str, Cells]
) -> dict[str, dict[str, Any]]:
    """Fuse LLRs for every panel of detectors, and keep one number per source (and kind) in each group.

    Of bona fide media all on which at least this panel spoke are taken, since thresholds need many. Fakes tell what a
    panel finds, so they are those on which it and nobody else spoke, but for detectors that may lack their weights: a
    panel without `double_jpeg` is one for media that are no JPEG.
    """
    known = _calibration({})
    families = {name: about.family for name, about in detectors.items()}
    fused: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for row, llrs in pairs:
        for size in range(1, len(llrs) + 1):
            for panel in itertools.combinations(sorted(llrs), size):
                name = group_name(row.context.media_family, row.context.size_bin, panel)
                side = row.kind if row.fake else "bona_fide"
                alone = all(detectors[d].optional for d in llrs if d not in panel)
                if name and side and (alone or not row.fake):
                    total = panel_llr({d: llrs[d] for d in panel}, families, known)
                    fused.setdefault(name, {}).setdefault(side, {}).setdefault(row.source, {})[row.sample] = (
                        total
                    )
    return {name: _group(sides) for name, sides in sorted(fused.items()) if "bona_fide" in sides}


def _group(sides: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    fakes = {
        kind: sorted(round(v[min(v, key=_shuffled)], 4) for v in sources.values())
        for kind, sources in sorted(sides.items())
        if kind != "bona_fide"
    }
    return {
        "bona_fide": sorted(round(max(v.values()), 4) for v in sides["bona_fide"].values()),
        "fakes": fakes,
    }


def _shuffled(sample: str) -> str:
    return hashlib.sha256(sample.encode()).hexdigest()


def describe(
    detectors: Mapping[str, Cells],
    fitted: Mapping[str, list[Fitted]],
    groups: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> dict[str, Any]:
    """Lay everything out as calibration.json; its version is named by its date and its content."""
    body = {
        "inputs": dict(inputs),
        "detectors": {
            name: {
                "version": detectors[name].version,
                "media_family": detectors[name].media_family,
                "family": detectors[name].family,
                "claims": sorted(detectors[name].claims),
                "share": detectors[name].share,
                "cells": [_plain(f) for f in cells],
            }
            for name, cells in fitted.items()
        },
        "groups": dict(groups),
    }
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:8]
    return {"version": f"{today}-{digest}", "created": today} | body


def _plain(f: Fitted) -> dict[str, Any]:
    return {
        "size": f.cell.size,
        "quality": list(f.cell.quality),
        "method": f.method,
        "n_bona_fide": f.cell.sources[0],
        "n_fake": f.cell.sources[1],
        "cllr": round(f.cllr, 3),
        "cllr_90": [round(x, 3) for x in f.cllr_range],
        "knots": [list(k) for k in zip(f.cell.scores, f.cell.llrs, strict=True)],
    }


def fit(paths: Sequence[Path], seed: int = 1) -> dict[str, Any]:
    """Fit everything from scores files."""
    detectors, rows = read_rows(paths)
    fitted = fit_maps(rows, detectors, seed)
    groups = fused_groups(cross_fitted(rows, detectors, fitted), detectors)
    inputs = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}
    return describe(detectors, fitted, groups, inputs)


def laid_out(fitted: Mapping[str, Any]) -> str:
    """Write JSON with a line for each list of numbers, so that a change can be read."""
    text = json.dumps(fitted, indent=1)
    flat = re.sub(
        r"\[[-\d.,\s]+\]", lambda m: " ".join(m[0].split()).replace("[ ", "[").replace(" ]", "]"), text
    )
    return (
        re.sub(
            r"\[\n\s+(\[[^\n]+\](?:,\n\s+\[[^\n]+\])*)\n\s+\]",
            lambda m: "[" + " ".join(m[1].split()) + "]",
            flat,
        )
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scores", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    fitted = fit(arguments.scores, arguments.seed)
    arguments.out.write_text(laid_out(fitted), encoding="utf-8")
    for name, about in fitted["detectors"].items():
        for c in about["cells"]:
            print(
                f"{name:14} {c['size']:7} {c['quality']}  {c['method']:8}  n {c['n_bona_fide']}/{c['n_fake']}  Cllr {c['cllr']}"
            )
    for name, group in fitted["groups"].items():
        kinds = ", ".join(f"{k} {len(v)}" for k, v in group["fakes"].items())
        print(f"{name}: {len(group['bona_fide'])} bona fide sources; {kinds}")


if __name__ == "__main__":
    main()
