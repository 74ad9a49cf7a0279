"""A run's figures for the terminal and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from assay.bench.bootstrap import LEVEL, Estimate
from assay.bench.cache import TROUBLES
from assay.bench.fused import PANEL
from assay.bench.panel import reads_metadata
from assay.bench.run import Done, Order, Scored
from assay.bench.summary import Figures, Summary, plain
from assay.report.escape import printable
from assay.types import JSON

NONE = "-"
SHOWN_FAILURES = 10


@dataclass(frozen=True, slots=True)
class Told:
    """All that a report of a run tells."""

    order: Order
    done: Done
    summary: Summary
    about: JSON
    budget: float
    command: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The panel, then detectors in their order; those of metadata too, where they were run."""
        names = [PANEL, *(c.name for c in self.order.panel.cards)]
        return tuple(n for n in names if n in self.summary.removed or n in self.summary.kept)

    @property
    def switched_off(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.order.panel.cards if reads_metadata(c))

    @property
    def unread(self) -> int:
        """Samples for which no detector was asked: none here reads such media without their metadata."""
        return len({e.sha256 for e in self.order.manifest.entries} - {r.entry.sha256 for r in self.done.rows})

    @property
    def failed(self) -> tuple[Scored, ...]:
        return tuple(r for r in self.done.rows if r.result.outcome in TROUBLES)


def failures(told: Told) -> list[tuple[str, str, int]]:
    """What failed: sample, why, how many of its results. Most first."""
    counted = Counter((r.entry.name, r.result.problem or str(r.result.outcome)) for r in told.failed)
    return [(name, why, n) for (name, why), n in counted.most_common()]


def interval_text(e: Estimate, digits: int = 2) -> str:
    """Write an estimate with its interval: ".93 [.88-.97]"; "-" where nothing can be said.

    Examples
    --------
    >>> interval_text(Estimate(0.931, 0.88, 0.97, 100, 40))
    '.93 [.88-.97]'
    """
    if not e.known:
        return NONE
    return f"{short(e.value, digits)} [{short(e.low, digits)}-{short(e.high, digits)}]"


def short(share: float, digits: int = 2) -> str:
    """Write a number below 1 without its leading zero."""
    if share == float("inf"):
        return "∞"
    text = f"{share:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def lines(told: Told) -> Iterator[str]:
    """The figures as a person at a terminal reads them."""
    manifest = told.order.manifest
    yield (
        f"{len(manifest.entries) - manifest.fakes} bona fide samples, {manifest.fakes} fakes, {manifest.sources} sources;"
        f" {len(told.order.launderings)} launderings: {', '.join(told.order.launderings)}"
    )
    yield f"{told.done.computed} results computed, {told.done.reused} from the cache."
    yield ""
    head = (
        "",
        "AUC",
        "EER",
        "TPR at 1 % FPR",
        "FALSE ALARMS",
        "Cllr",
        "ECE",
        "DECIDED",
        "SCORED of n (sources)",
    )
    rows = [_row(name, told.summary.removed.get(name), told) for name in told.columns]
    yield from _aligned(head, rows)
    if told.summary.kept:
        yield ""
        yield "With metadata, files as they are:"
        kept = [_row(name, told.summary.kept.get(name), told) for name in told.columns]
        yield from _aligned(head, kept)
    yield ""
    yield (
        f"Metadata removed, both classes written by one encoder. Brackets: {LEVEL:.0%} intervals, sources drawn anew."
        f" False alarms at the shipped thresholds, budget {told.budget:.2%}."
    )
    if 0 in (manifest.fakes, len(manifest.entries) - manifest.fakes):
        yield "AUC, EER, TPR, Cllr and ECE need both classes; this corpus has one."
    if told.unread:
        yield f"{told.unread} samples were examined by nobody: no detector of this run reads such media."
    yield from _failure_lines(told)


def _row(name: str, f: Figures | None, told: Told) -> tuple[str, ...]:
    if f is None:
        why = "switched off" if name in told.switched_off else "no row"
        return (name, why, *[""] * 7)
    figures = (f.auc, f.eer, f.tpr, f.false_alarms, f.cllr, f.ece, f.decided)
    scored = "" if f.heard == f.n else f"{f.heard[0]}+{f.heard[1]} of "
    of = f"{scored}{f.n[0]}+{f.n[1]} ({f.sources[0]}+{f.sources[1]})"
    return (name, *(interval_text(e) for e in figures), of)


def _aligned(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    every = [head, *rows]
    widths = [max(len(row[k]) for row in every) for k in range(len(head))]
    for row in every:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _failure_lines(told: Told) -> Iterator[str]:
    found = failures(told)
    if not found:
        return
    samples = len({name for name, _, _ in found})
    yield f"{samples} sample{'s' * (samples != 1)} failed, wholly or in part:"
    for name, why, n in found[:SHOWN_FAILURES]:
        yield f"  {printable(name, limit=60)}: {printable(why, limit=120)} ({n} results)"
    if len(found) > SHOWN_FAILURES:
        yield f"  and {len(found) - SHOWN_FAILURES} more, in the report"


def summary_json(told: Told) -> JSON:
    """All figures, with what made them."""
    summary = told.summary
    return {
        "schema": "assay/bench/1",
        **told.about,
        "command": told.command,
        "budget": told.budget,
        "level": LEVEL,
        "samples": {
            "bona_fide": len(told.order.manifest.entries) - told.order.manifest.fakes,
            "fake": told.order.manifest.fakes,
            "sources": told.order.manifest.sources,
        },
        "metadata_removed": {name: plain(f) for name, f in summary.removed.items()},
        "with_metadata": {name: plain(f) for name, f in summary.kept.items()},
        "parts": {
            grouping: {
                p.name: {
                    "against_all_bona_fide": p.against_all,
                    **{n: plain(f) for n, f in p.figures.items()},
                }
                for p in parts
            }
            for grouping, parts in summary.parts.items()
        },
        "failed": [{"path": name, "why": why, "results": n} for name, why, n in failures(told)],
    }
