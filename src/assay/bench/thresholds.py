"""What a calibration promises: thresholds of the panels that occur, their false alarms and what they find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assay.types import Kind
from assay.verdict.calibration import Calibration, Context
from assay.verdict.conformal import Threshold, wilson
from assay.verdict.groups import STRATA, UNSPOKEN, Pool

LEAST = 20  # bona fide sources from which a panel is listed
SHOWN = 4  # panels of each pool
SIDE = {"small": 128, "medium": 512, "large": 2048}  # pixels: one size of each bin


@dataclass(frozen=True, slots=True)
class Line:
    """One panel at one budget, on media of one size and range of JPEG quality."""

    media_family: str
    size: str
    qualities: tuple[int, int]
    panel: tuple[str, ...]
    budget: float
    sources: int
    threshold: Threshold | None
    found: Mapping[Kind, tuple[int, int]]  # fake sources found, and all

    @property
    def text(self) -> str:
        """For a terminal."""
        quality = "no JPEG" if self.qualities == (0, 0) else f"JPEG {self.qualities[0]}-{self.qualities[1]}"
        start = f"{self.size:7} {quality:11} {'+'.join(self.panel)}: {self.sources} sources, {100 * self.budget:g} %: "
        return start + self.promise

    @property
    def promise(self) -> str:
        if self.threshold is None:
            return "none, too few sources"
        low, high = self.threshold.false_alarms
        return "; ".join(
            [
                f"{self.threshold.value:.2f} nats [{100 * low:.1f}-{100 * high:.1f} %]",
                *map(told, sorted(self.found.items())),
            ]
        )


def told(found: tuple[Kind, tuple[int, int]]) -> str:
    kind, (hits, n) = found
    low, high = wilson(hits, n)
    return f"{kind} {100 * hits / n:.0f} % [{100 * low:.0f}-{100 * high:.0f}], {n}"


def table(known: Calibration, budgets: Sequence[float]) -> Iterator[Line]:
    """Lines for the panels of each pool that occur most, in each range of quality that they occur in."""
    for name, pool in sorted(known.pools.items()):
        family, size = name.split("/")
        for panel, qualities in occurring(pool)[:SHOWN]:
            context = Context(media_family=family, size_px=(SIDE[size],) * 2, quality=qualities[1] or None)
            group = known.group(context, panel)
            if group is None:
                continue
            for budget in budgets:
                limit = group.threshold(budget)
                found = {} if limit is None else {
                    kind: (sum(x >= limit.value for x in llrs), len(llrs)) for kind, llrs in group.fakes.items() if llrs
                }  # fmt: skip
                yield Line(family, size, qualities, panel, budget, group.sources, limit, found)


def occurring(pool: Pool) -> list[tuple[tuple[str, ...], tuple[int, int]]]:
    """List panels with a range of quality that they occur in on at least `LEAST` bona fide sources, most frequent first."""
    side = pool.bona_fide
    often: dict[tuple[tuple[str, ...], tuple[int, int]], int] = {}
    spoke = side.llrs != UNSPOKEN
    for qualities in STRATA:
        inside = side.within(qualities)
        for pattern in np.unique(spoke[inside], axis=0):
            same = inside & (spoke == pattern).all(axis=1)
            panel = tuple(d for d, yes in zip(pool.detectors, pattern.tolist(), strict=True) if yes)
            often[panel, qualities] = side.sources(same)
    return sorted((p for p, n in often.items() if n >= LEAST), key=lambda p: (-often[p], p))
