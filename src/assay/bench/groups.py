"""Pools of calibration sources: LLRs of every bona fide rendition, and of those of fakes that some panel draws."""

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
    """Keep the renditions of every source and range of quality; of fakes those that some panel may need."""
    by_place: dict[tuple[str, int], list[int]] = {}
    for i in sorted(chosen, key=lambda i: _shuffled(rows[i].name)):
        quality = rows[i].context.quality or 0
        stratum = next(k for k, (low, high) in enumerate(STRATA) if low <= quality <= high)
        by_place.setdefault((rows[i].source, stratum), []).append(i)
    number = {source: n for n, source in enumerate(sorted({s for s, _ in by_place}))}
    kept = []
    for own in by_place.values():
        kept += [own[k] for k in np.flatnonzero(earliest(llrs[own])).tolist()] if fake else own
    kept.sort(key=lambda i: (number[rows[i].source], _shuffled(rows[i].name)))
    to_grid = math.floor if fake else math.ceil
    return [
        [number[rows[i].source], rows[i].context.quality or 0]
        + [None if math.isnan(v) else to_grid(round(v * SCALE, 6)) for v in llrs[i].tolist()]
        for i in kept
    ]


def earliest(llrs: Floats) -> Flags:
    """Mark the renditions of one fake source, in their drawn order, that are the first for some panel."""
    spoke = ~np.isnan(llrs)
    covers = (spoke[:, None, :] | ~spoke[None, :, :]).all(axis=2)  # [a, b]: whoever spoke on b spoke on a
    before = np.tri(len(llrs), k=-1, dtype=bool).T  # [a, b]: a comes before b
    return np.logical_not((covers & before).any(axis=0))


def _shuffled(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
