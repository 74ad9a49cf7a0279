"""What the whole panel makes of a rendition: the shipped fusion over what its detectors said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from assay.bench.manifest import Entry
from assay.bench.run import Scored
from assay.evidence.detector import Card
from assay.settings import Settings
from assay.types import Evidence, Finding, Label, Outcome, Reason, Verdict
from assay.verdict.calibration import Calibration, Context, panel_llr
from assay.verdict.fusion import fuse

PANEL = "panel"  # stands for all detectors together in tables and reports


@dataclass(frozen=True, slots=True)
class Fused:
    """The panel's verdict on one rendition."""

    entry: Entry
    laundering: str
    metadata: bool
    rendition: str
    width: int
    height: int
    quality: int | None
    verdict: Verdict

    @property
    def fake(self) -> bool:
        return self.verdict.label is Label.FAKE


def fused(
    rows: Iterable[Scored], cards: Sequence[Card], settings: Settings, calibration: Calibration | None = None
) -> Iterator[Fused]:
    """Fuse the rows of each rendition; those that nobody could examine give no verdict."""
    cells: dict[tuple[str, str, bool], list[Scored]] = {}
    for row in rows:
        cells.setdefault((row.entry.sha256, row.laundering, row.metadata), []).append(row)
    by_name = {c.name: c for c in cards}
    for cell in cells.values():
        if any(r.result.rendition for r in cell):
            yield _fused(cell, by_name, settings, calibration)


def _fused(
    cell: Sequence[Scored], cards: dict[str, Card], settings: Settings, calibration: Calibration | None
) -> Fused:
    first = next(r for r in cell if r.result.rendition)
    known = first.result
    context = Context(
        media_family=first.entry.media_family,
        size_px=(known.width, known.height) if known.width else None,
        quality=known.quality,
        claims={r.detector: cards[r.detector].claims for r in cell},
    )
    verdict = fuse(
        [evidence(r, cards[r.detector]) for r in cell],
        context=context,
        settings=settings,
        calibration=calibration,
    )
    return Fused(
        first.entry,
        first.laundering,
        first.metadata,
        known.rendition,
        known.width,
        known.height,
        known.quality,
        verdict,
    )


def evidence(row: Scored, card: Card) -> Evidence:
    """Make evidence of a row again; reasons by code alone, which is what they are weighed by."""
    r = row.result
    finding = Finding(r.outcome, r.score, tuple(Reason(code, "") for code in r.codes))
    return Evidence(row.detector, row.version, card.family, finding, None, r.elapsed_s)


def alone(row: Scored, calibration: Calibration, budget: float) -> tuple[float | None, bool]:
    """One detector by itself: its calibrated LLR (None: not calibrated here), and whether it alone would say fake."""
    r = row.result
    if r.score is None:
        return None, False
    context = Context(
        media_family=row.entry.media_family,
        size_px=(r.width, r.height) if r.width else None,
        quality=r.quality,
    )
    llr = calibration.llr_of_score(row.detector, row.version, r.score, context)
    if llr is None:
        return None, False
    threshold = calibration.threshold(context, [row.detector], budget)
    said = panel_llr({row.detector: llr}, context.media_family, calibration)
    return llr, threshold is not None and said >= threshold.value


def spoke(row: Scored) -> bool:
    return row.result.outcome is Outcome.SCORED
