"""The terminal's view: one paragraph a sample that reads as a sentence, words beside every colour."""

from __future__ import annotations

import re
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
STATED = "No other sign"  # a summary that says so begins with something that is no fake and must be read
SOME_EVIDENCE = 1.0  # nats: from here on a summary names what points to a fake
MOST_NOTES = 4
MOST_CAVEATS = 6
PERCENT = re.compile(r"(\d) %")  # stays together where a line breaks
JOINER = "\N{NO-BREAK SPACE}"
MOST_LETTERS = 2000  # of one sentence or note that a sample may have had a word in


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


def calm(screening: Screening) -> bool:
    """Was nothing found, with nothing to add but what that is worth?

    Such samples are most of any folder. They take one line; what finding nothing is worth is said once for all.
    """
    v, d = screening.verdict, screening.decision
    return (
        v is not None
        and v.why in (Why.NOTHING_FOUND, Why.NOT_COVERED)
        and not v.kinds
        and v.llr < SOME_EVIDENCE
        and STATED not in v.summary
        and not screening.warnings
        and screening.quarantine_id is None
        and (d is None or d.action is Action.DELIVER)
    )


def split_summary(summary: str) -> tuple[str, str]:
    """The first sentence, and all that follows it.

    Examples
    --------
    >>> split_summary("No sign found. There is no threshold of 1.5.")
    ('No sign found.', 'There is no threshold of 1.5.')
    """
    first, stop, rest = summary.partition(". ")
    return (f"{first}.", rest) if stop else (summary, "")


def sentence(text: str) -> str:
    """Write a capital first and a stop at the end.

    Examples
    --------
    >>> sentence("ask the sender again ")
    'Ask the sender again.'
    """
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith((".", "!", "?", ":")) else ".")


@dataclass(slots=True)
class Table:
    """Prints screenings as they come and counts them for the last lines."""

    width: int
    colour: bool
    counts: Counter[str] = field(default_factory=Counter)
    caveats: Counter[str] = field(default_factory=Counter)
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
        """Count what was seen, and say once what finding nothing is worth."""
        total = sum(self.counts.values())
        order = sorted(self.counts.items(), key=lambda c: (not c[0].startswith("fake"), c[0]))
        parts = [f"{n} {w.replace(', declared', ' (declared)')}" for w, n in order]
        if self.quarantined:
            parts.append(f"{self.quarantined} quarantined")
        noun = "sample" if total == 1 else "samples"
        told = f"{'Stopped after ' if stopped else ''}{total:,} {noun} in {elapsed_s:.1f} s: {', '.join(parts) or 'nothing to screen'}."
        return "\n".join([*self._caveats(), *self._wrapped(told, "", "")])

    def _caveats(self) -> list[str]:
        """Say what stands behind the calm lines, the commonest first."""
        told = [(text, n) for text, n in self.caveats.most_common() if n]
        lines = ["What finding nothing is worth:"] if told else []
        for text, n in told[:MOST_CAVEATS]:
            lines += self._wrapped(f"- {n:,} sample{'s' if n != 1 else ''}: {text}", "", "  ")
        if len(told) > MOST_CAVEATS:
            lines.append(f"- {len(told) - MOST_CAVEATS} more such notes: see --json.")
        return ["", *lines, ""] if lines else []

    def _entry(self, s: Screening, depth: int) -> str:
        branch = "  " * (depth - 1) + "└ " if depth else ""
        room = max(20, self.width - WORD_WIDTH - 2 - len(branch))
        name = printable(s.path.rpartition("!")[2] if depth else s.path, limit=room)
        head = f"{self._coloured(word(s)):<{WORD_WIDTH + self._extra(word(s))}}  {branch}{name}"
        if calm(s) and s.verdict is not None:
            first, rest = split_summary(s.verdict.summary)
            self.caveats[rest] += bool(rest)
            room = self.width - WORD_WIDTH - 2 - len(branch) - len(name) - 2
            return f"{head}  {self._dim(first)}" if len(first) <= room else head
        return "\n".join([head, *self._sentences(s, " " * len(branch))])

    def _sentences(self, s: Screening, indent: str) -> list[str]:
        texts = []
        if s.verdict is not None:
            texts.append(s.verdict.summary)
        elif s.error is not None:
            texts.append(f"{sentence(s.error.message)} {sentence(s.error.hint)}".strip())
        if s.decision is not None and s.decision.action is not Action.DELIVER:
            note = f"Policy: {s.decision.action} (rule {s.decision.rule})"
            texts.append(f"{note}, kept as quarantine {s.quarantine_id}." if s.quarantine_id else f"{note}.")
        notes = [f"Note: {sentence(w)}" for w in s.warnings[:MOST_NOTES]]
        if len(s.warnings) > MOST_NOTES:
            notes.append(f"{len(s.warnings) - MOST_NOTES} more notes: see --json.")
        margin = INDENT + indent
        return [line for text in (*texts, *notes) for line in self._wrapped(text, margin, margin)]

    def _wrapped(self, text: str, first: str, rest: str) -> list[str]:
        joined = PERCENT.sub(rf"\1{JOINER}%", printable(text, limit=MOST_LETTERS))
        lines = textwrap.wrap(
            joined, max(40, self.width), initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
        )
        return [line.replace(JOINER, " ") for line in lines]

    def _dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self.colour else text

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
