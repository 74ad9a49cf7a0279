"""The terminal's view: one paragraph a sample that reads as a sentence, words beside every colour."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, field

from assay.report.contract import flatten
from assay.report.escape import printable
from assay.types import Action, Label, Screening, Status, Why

WORDS = {
    Why.NOTHING_FOUND: "nothing found",
    Why.CONFLICTING: "conflicting",
    Why.UNSTABLE: "unstable",
    Why.TOO_LITTLE: "too little",
    Why.NOT_COVERED: "not covered",
    Why.FAILED: "failed",
}
COLOURS = {
    "fake": "31;1",
    "fake, declared": "35;1",
    "bona fide": "32;1",
    "nothing found": "32",
    "refused": "33",
    "failed": "33",
}
WORD_WIDTH = 16
INDENT = " " * (WORD_WIDTH + 2)


def word(screening: Screening) -> str:
    """The one or two words that stand first."""
    v = screening.verdict
    if v is None:
        return str(screening.status)
    if v.label is Label.FAKE:
        return "fake, declared" if v.disclosed else "fake"
    if v.label is Label.BONA_FIDE:
        return "bona fide"
    return WORDS[v.why] if v.why else "inconclusive"


def found(screening: Screening) -> bool:
    """Does it count as found, for the exit code and --quiet?"""
    return screening.verdict is not None and screening.verdict.label is Label.FAKE


def troubled(screening: Screening) -> bool:
    """Was there no verdict where one was due? A type that Assay does not read is not trouble."""
    return screening.status in (Status.REFUSED, Status.FAILED)


@dataclass(slots=True)
class Table:
    """Prints screenings as they come and counts them for the last line."""

    width: int
    colour: bool
    counts: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0

    def paragraph(self, screening: Screening, *, quiet: bool = False) -> str:
        """All lines of a sample and its members; "" where --quiet leaves it out."""
        lines = []
        for depth, s in _nested(screening, 0):
            self.counts[word(s)] += 1
            self.quarantined += s.quarantine_id is not None
            if not quiet or found(s) or troubled(s):
                lines.append(self._entry(s, depth))
        return "\n".join(lines)

    def closing(self, elapsed_s: float, *, stopped: bool = False) -> str:
        total = sum(self.counts.values())
        parts = [
            f"{n} {w}"
            for w, n in sorted(self.counts.items(), key=lambda c: (not c[0].startswith("fake"), c[0]))
        ]
        if self.quarantined:
            parts.append(f"{self.quarantined} quarantined")
        noun = "sample" if total == 1 else "samples"
        rate = f"{elapsed_s:.1f} s"
        return f"{'Stopped after ' if stopped else ''}{total} {noun} in {rate}: {', '.join(parts) or 'nothing to screen'}."

    def _entry(self, s: Screening, depth: int) -> str:
        name = printable(
            s.path.rpartition("!")[2] if depth else s.path, limit=max(20, self.width - WORD_WIDTH - 4)
        )
        head = f"{self._coloured(word(s)):<{WORD_WIDTH + self._extra(word(s))}}  {'└ ' * (depth > 0)}{'  ' * max(0, depth - 1)}{name}"
        return "\n".join([head, *self._sentences(s)])

    def _sentences(self, s: Screening) -> list[str]:
        texts = []
        if s.verdict is not None:
            texts.append(s.verdict.summary)
        elif s.error is not None:
            texts.append(f"{s.error.message[:1].upper()}{s.error.message[1:]}. {s.error.hint}".strip())
        if s.decision is not None and s.decision.action is not Action.DELIVER:
            note = f"Policy: {s.decision.action} (rule {s.decision.rule})"
            texts.append(f"{note}, kept as quarantine {s.quarantine_id}." if s.quarantine_id else f"{note}.")
        texts += [f"Note: {w}." for w in s.warnings[:4]]
        return [
            line
            for text in texts
            for line in textwrap.wrap(
                printable(text),
                max(40, self.width),
                initial_indent=INDENT,
                subsequent_indent=INDENT,
                break_on_hyphens=False,
            )
        ]

    def _coloured(self, text: str) -> str:
        code = COLOURS.get(text)
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text

    def _extra(self, text: str) -> int:
        return len(self._coloured(text)) - len(text)


def _nested(screening: Screening, depth: int) -> list[tuple[int, Screening]]:
    return [(depth, screening), *(entry for c in screening.children for entry in _nested(c, depth + 1))]


def csv_rows(screening: Screening) -> list[list[str]]:
    """A row a sample for spreadsheets."""
    from assay.report.contract import rfc3339
    from assay.report.escape import csv_cell

    rows = []
    for s in flatten(screening):
        v = s.verdict
        rows.append(
            [
                csv_cell(cell)
                for cell in (
                    s.path,
                    word(s),
                    v.summary if v else (s.error.message if s.error else ""),
                    f"{v.probability:.4f}" if v else "",
                    f"{v.llr:.2f}" if v else "",
                    " ".join(v.kinds) if v else "",
                    str(s.decision.action) if s.decision else "",
                    s.sample.sha256,
                    s.sample.media_type,
                    rfc3339(s.screened_at),
                )
            ]
        )
    return rows


CSV_HEAD = [
    "path",
    "verdict",
    "summary",
    "probability",
    "llr",
    "kinds",
    "action",
    "sha256",
    "media_type",
    "screened_at",
]
