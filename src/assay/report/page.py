"""The report: one HTML file that needs nothing from outside, no script, and stays under 20 MB for any folder."""

from __future__ import annotations

import contextlib
import html
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources

from assay.errors import ConfigError
from assay.report import pictures
from assay.report.escape import printable
from assay.report.table import found, troubled, word
from assay.types import Evidence, Label, Outcome, Screening

MOST_PICTURES = 12 << 20  # bytes of encoded pictures
MOST_FINDS = 500  # told in full; the rest in one line each
MOST_ROWS = 10_000
NEAREST = 50
TEXT = 600  # characters of a sentence that a sample may contribute to
CLASSES = {"fake": "fake", "fake, declared": "declared", "bona fide": "fine", "nothing found": "fine"}
OUTCOMES = {
    Outcome.NOT_APPLICABLE: "not applicable",
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed out",
    Outcome.SCORED: "scored",
}


@dataclass(slots=True)
class Entry:
    """One sample that is told in full."""

    screening: Screening  # without preview
    shots: list[pictures.Shot]


@dataclass(slots=True)
class Page:
    """Collects screenings and writes them as one page."""

    path: str
    temporary: str
    finds: list[Entry] = field(default_factory=list)
    near: list[Entry] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    spent: int = 0

    @classmethod
    def open(cls, path: str) -> Page:
        """Claim the place at once, so that nobody waits an hour to hear that it cannot be written."""
        temporary = f"{path}.part"
        try:
            with open(temporary, "w", encoding="utf-8"):
                pass
        except OSError as e:
            raise ConfigError(
                f"the report cannot be written to {path}: {(e.strerror or str(e)).lower()}",
                hint="Name a file in a folder that you may write to.",
            ) from e
        return cls(path, temporary)

    def discard(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.temporary)

    def add(self, screening: Screening) -> None:
        """Take a sample and what was inside of it."""
        self._add(screening, 0)

    def _add(self, s: Screening, depth: int) -> None:
        self.counts[word(s)] += 1
        if len(self.rows) < MOST_ROWS:
            self.rows.append(_row(s, depth))
        if found(s) or (s.verdict is not None and s.verdict.label is Label.BONA_FIDE):
            if len(self.finds) < MOST_FINDS:
                self.finds.append(self._entry(s))
        elif s.verdict is not None and s.verdict.evidence:
            self._near(s)
        for child in s.children:
            self._add(child, depth + 1)

    def _near(self, s: Screening) -> None:
        """Keep the inconclusive samples that came nearest to their threshold."""
        if len(self.near) >= NEAREST and _margin(s) >= _margin(self.near[-1].screening):
            return
        self.near.append(self._entry(s))
        self.near.sort(key=lambda e: _margin(e.screening))
        for dropped in self.near[NEAREST:]:
            self.spent -= sum(shot.size for shot in dropped.shots)
        del self.near[NEAREST:]

    def _entry(self, s: Screening) -> Entry:
        shots = pictures.shots(s) if self.spent < MOST_PICTURES else []
        self.spent += sum(shot.size for shot in shots)
        return Entry(s, shots)

    def write(self, *, detectors: Sequence[tuple[str, str, str]], stopped: bool = False) -> None:
        """Write the page in one step: either all of it or nothing.

        Parameters
        ----------
        detectors
            Name, one-line summary and, where it could not examine, why.
        stopped
            Whether the batch was interrupted.
        """
        try:
            with open(self.temporary, "w", encoding="utf-8") as file:
                file.writelines(self._html(detectors, stopped=stopped))
                file.flush()
                os.fsync(file.fileno())
            os.replace(self.temporary, self.path)
        except OSError as e:
            self.discard()
            raise ConfigError(
                f"the report cannot be written: {(e.strerror or str(e)).lower()}", hint="Make room."
            ) from e

    def _html(self, detectors: Sequence[tuple[str, str, str]], *, stopped: bool) -> Iterable[str]:
        now = datetime.now(UTC).astimezone()
        style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
        total = sum(self.counts.values())
        yield (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
            f"<title>Assay report, {now:%Y-%m-%d %H:%M}</title><style>{style}</style></head><body>"
            f'<header><h1>Assay report</h1><p class="soft">{total} sample{"s" if total != 1 else ""}, '
            f"{now:%Y-%m-%d %H:%M:%S %z}{', stopped before the end' if stopped else ''}</p></header>"
        )
        yield (
            '<ul class="counts">'
            + "".join(f"<li><b>{n}</b> {html.escape(w)}</li>" for w, n in self.counts.most_common())
            + "</ul>"
        )
        yield '<main><h2 id="found">What was found</h2>'
        if not self.finds:
            yield "<p>Nothing was found. That does not prove that everything is genuine: see below what was not covered.</p>"
        yield from (_article(e, f"f{k}") for k, e in enumerate(self.finds))
        if self.near:
            yield f'<h2 id="near">Nearest to the threshold</h2><p class="soft">The {len(self.near)} inconclusive samples with most evidence, strongest first.</p>'
            yield from (_article(e, f"n{k}") for k, e in enumerate(self.near))
        yield '<h2 id="all">All samples</h2><div class="scroll"><table><thead><tr><th>Verdict</th><th>Name</th><th>What it says</th></tr></thead><tbody>'
        yield from self.rows
        yield "</tbody></table></div>"
        if total > len(self.rows):
            yield f'<p class="soft">{total - len(self.rows)} more samples are not listed; use --json for all of them.</p>'
        yield from _panel(detectors)
        yield "</main></body></html>\n"


def _margin(s: Screening) -> float:
    """How far the evidence stays below its threshold, in nats."""
    v = s.verdict
    return 0.0 if v is None else (v.threshold if v.threshold is not None else 4.6) - v.llr


def _article(entry: Entry, identity: str) -> str:
    s = entry.screening
    subject = _text(s.path.rpartition("/")[2], 60)
    figures = [pictures.figure(shot, f"{identity}-{k}", subject) for k, shot in enumerate(entry.shots)]
    media = f'<div class="strip">{"".join(figures)}</div>' if len(figures) > 1 else "".join(figures)
    verdict = s.verdict
    parts = [
        f'<article class="{CLASSES.get(word(s), "unsure")}"><header><span class="word">{html.escape(word(s))}</span>'
        f"<h3>{_text(s.path)}</h3></header>",
        f'<p class="summary">{_text(verdict.summary if verdict else "", 2000)}</p>',
        f'<div class="body{" wide" if len(figures) != 1 else ""}">{media}<div>',
    ]
    if verdict is not None:
        parts.append(pictures.timeline(verdict.evidence, s.duration_s or 0.0))
        parts.append(_evidence_table(verdict.evidence))
    parts.append(_details(s))
    parts.append("</div></div></article>")
    return "".join(parts)


def _evidence_table(evidence: Sequence[Evidence]) -> str:
    spoke = [e for e in evidence if e.finding.outcome is not Outcome.NOT_APPLICABLE]
    silent = [e for e in evidence if e.finding.outcome is Outcome.NOT_APPLICABLE]
    rows = "".join(_evidence_row(e) for e in sorted(spoke, key=lambda e: -(e.llr or 0.0)))
    names = ", ".join(f"{html.escape(e.detector)} ({_text(e.finding.reasons[0].text, 120)})" for e in silent)
    return (
        '<table class="evidence"><thead><tr><th>Detector</th><th class="number">Points</th><th>What it says</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
        + (f'<p class="soft">Not applicable here: {names}.</p>' if names else "")
    )


def _evidence_row(e: Evidence) -> str:
    points = "not counted" if e.llr is None else f"{e.llr:+.2f}"
    if e.finding.outcome is not Outcome.SCORED:
        points = OUTCOMES[e.finding.outcome]
    said = "".join(f"<li>{_text(r.text)}</li>" for r in e.finding.reasons[:12])
    return f'<tr><td>{html.escape(e.detector)}</td><td class="number" data-name="Points">{points}</td><td><ul>{said}</ul></td></tr>'


def _details(s: Screening) -> str:
    v, d, sample = s.verdict, s.decision, s.sample
    facts = [
        ("Kinds", ", ".join(v.kinds).replace("_", " ") if v and v.kinds else ""),
        ("Probability", f"{v.probability:.1%} of being fake, at a prior of {v.prior:g}" if v else ""),
        (
            "Evidence",
            f"{v.llr:+.2f} points (nats); threshold {f'{v.threshold:.2f}' if v.threshold is not None else 'none for this group'}"
            if v
            else "",
        ),
        ("Policy", f"{d.action} (rule {d.rule})" if d else ""),
        ("Quarantine", s.quarantine_id or ""),
        ("Covered", ", ".join(v.coverage.examined) if v else ""),
        ("Not covered", "; ".join(v.coverage.blind_spots).replace("_", " ") if v else ""),
        ("Notes", "; ".join(s.warnings[:8])),
        (
            "Type",
            f"{sample.media_type}, {sample.size:,} bytes"
            + (f", {s.size_px[0]} x {s.size_px[1]} pixels" if s.size_px else ""),
        ),
        ("SHA-256", sample.sha256),
        ("Screened", s.screened_at.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{_text(text)}</dd>" for name, text in facts if text)
    return f"<details><summary>How sure, what was covered, and the sample itself</summary><dl>{listed}</dl></details>"


def _row(s: Screening, depth: int) -> str:
    name = s.path.rpartition("!")[2] if depth else s.path
    says = s.verdict.summary if s.verdict else f"{s.error.message}. {s.error.hint}" if s.error else ""
    kind = "trouble" if troubled(s) else CLASSES.get(word(s), "unsure")
    return f'<tr><td class="{kind}">{html.escape(word(s))}</td><td>{"└ " * (depth > 0)}{_text(name, 200)}</td><td>{_text(says, 300)}</td></tr>'


def _panel(detectors: Sequence[tuple[str, str, str]]) -> Iterable[str]:
    yield '<h2 id="panel">What was used</h2><div class="scroll"><table><thead><tr><th>Detector</th><th>What it reads</th></tr></thead><tbody>'
    for name, summary, unavailable in detectors:
        missing = f" <b>Not used: {_text(unavailable, 200)}</b>" if unavailable else ""
        yield f"<tr><td>{html.escape(name)}</td><td>{html.escape(summary)}{missing}</td></tr>"
    yield (
        '</tbody></table></div><p class="soft">Points are log-likelihood ratios in nats: +2.3 makes a fake ten times as likely as before, '
        "-2.3 ten times less. “Nothing found” means just that: this panel saw no trace that it knows.</p>"
    )


def _text(text: str, limit: int = TEXT) -> str:
    return html.escape(printable(text, limit=limit))
