"""Pools of calibration sources: LLRs of every rendition, stripped of those that can never decide a threshold."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.bench.metrics import Flags, Floats
from assay.bench.rows import Row
from assay.verdict.calibration import pool_name
from assay.verdict.groups import SCALE, STRATA

Entry = list[int | None]  # source, quality, then SCALE * LLR of each detector


def pools(rows: Sequence[Row], llrs: Floats, detectors: Sequence[str]) -> dict[str, Any]:
    """Lay out the pools of calibration.json.

    Parameters
    ----------
    rows
        Renditions, length R.
    llrs : ndarray of float64, shape (R, D)
        Nats, from maps that did not see the row's source; NaN where the detector did not speak.
    detectors
        Their names, length D.

    Returns
    -------
    pools : dict
        By media family and size; LLRs of bona fide renditions rounded up to 1 / SCALE nat, those of fakes down.
    """
    named = np.array([pool_name(r.context.media_family, r.context.size_bin) for r in rows])
    spoke = ~np.isnan(llrs)
    found = {}
    for name in sorted(set(named[spoke.any(axis=1)].tolist())):
        inside = np.flatnonzero((named == name) & spoke.any(axis=1))
        columns = np.flatnonzero(spoke[inside].any(axis=0))
        kinds = sorted({rows[i].kind for i in inside.tolist() if rows[i].fake and rows[i].kind})
        honest = [i for i in inside.tolist() if not rows[i].fake]
        found[name] = {
            "detectors": [detectors[c] for c in columns.tolist()],
            "bona_fide": _entries(rows, llrs[:, columns], honest, fake=False),
            "fakes": {
                kind: _entries(
                    rows,
                    llrs[:, columns],
                    [i for i in inside.tolist() if rows[i].fake and rows[i].kind == kind],
                    fake=True,
                )
                for kind in kinds
            },
        }
    return found


def _entries(rows: Sequence[Row], llrs: Floats, chosen: Sequence[int], *, fake: bool) -> list[Entry]:
    """Keep, of every source and range of quality, the renditions that some panel may need."""
    by_place: dict[tuple[str, int], list[int]] = {}
    for i in sorted(chosen, key=lambda i: _shuffled(rows[i].name)):
        quality = rows[i].context.quality or 0
        stratum = next(k for k, (low, high) in enumerate(STRATA) if low <= quality <= high)
        by_place.setdefault((rows[i].source, stratum), []).append(i)
    number = {source: n for n, source in enumerate(sorted({s for s, _ in by_place}))}
    kept = []
    for own in by_place.values():
        needed = (earliest if fake else undominated)(llrs[own])
        kept += [i for i, yes in zip(own, needed.tolist(), strict=True) if yes]
    kept.sort(key=lambda i: (number[rows[i].source], _shuffled(rows[i].name)))
    to_grid = math.floor if fake else math.ceil
    return [
        [number[rows[i].source], rows[i].context.quality or 0]
        + [None if math.isnan(v) else to_grid(round(v * SCALE, 6)) for v in llrs[i].tolist()]
        for i in kept
    ]


def undominated(llrs: Floats) -> Flags:
    """Mark the renditions of one bona fide source of which some panel may give the highest sum.

    One on which another's detectors all spoke, too, and each at least as high, never does: sums cut to caps rise with
    every term.

    Parameters
    ----------
    llrs : ndarray of float64, shape (R, D)
        NaN where a detector did not speak.
    """
    filled = np.where(np.isnan(llrs), -np.inf, llrs)
    covers = (filled[:, None, :] >= filled[None, :, :]).all(axis=2)  # [a, b]: a is as good as b everywhere
    same = covers & covers.T
    later = np.tri(len(llrs), k=-1, dtype=bool).T  # of equal ones the first stays
    beaten = (covers & (~same | later)).any(axis=0)
    return np.logical_not(beaten)


def earliest(llrs: Floats) -> Flags:
    """Mark the renditions of one fake source, in their drawn order, that are the first for some panel."""
    spoke = ~np.isnan(llrs)
    covers = (spoke[:, None, :] | ~spoke[None, :, :]).all(axis=2)  # [a, b]: whoever spoke on b spoke on a
    before = np.tri(len(llrs), k=-1, dtype=bool).T  # [a, b]: a comes before b
    return np.logical_not((covers & before).any(axis=0))


def _shuffled(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
