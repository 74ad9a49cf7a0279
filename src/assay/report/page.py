"""The report: one HTML file that needs nothing from outside, no script, and stays under 20 MB for any folder."""

from __future__ import annotations

import contextlib
import html
import os
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import resources

from assay.errors import ConfigError
from assay.report import pictures
from assay.report.article import article, text, tone, tone_of
from assay.report.table import calm, found, sentence, split_summary, word
from assay.types import Label, Screening, Status

# Bytes in the page; together with the style and the frame under 20 MB whatever a folder holds.
MOST_PICTURES = 11_000_000
MOST_ARTICLES = 4_000_000  # their text
MOST_TABLE = 3_500_000
MOST_FINDS = 500
MOST_VOUCHED = 50
NEAREST = 50
MOST_TROUBLED = 200
MOST_CAVEATS = 12
UNMEASURED = 4.6  # nats: stands in for a threshold where there is none, to order the nearest
MEANINGS = {
    "fake": "The evidence is over the threshold, or decisive.",
    "fake, declared": "The sample itself says that a machine made or altered it.",
    "bona fide": "Positive evidence that it is what it claims to be.",
    "conflicting": "Evidence for fake and against it: a person must look.",
    "unstable": "The evidence changes with small changes of the sample.",
    "too little": "Some evidence, too little to call it fake.",
    "nothing found": "No trace that this panel knows. That is no proof that it is genuine.",
    "not covered": "Nothing found, and for such media it was not measured what that is worth.",
    "refused": "Over a limit, encrypted or turned away. Not examined.",
    "failed": "Could not be read or examined.",
    "unsupported": "Not a kind of media that Assay reads.",
}


@dataclass(slots=True)
class Entry:
    """One sample that is told in full."""

    rank: tuple[float, ...]
    number: int  # in order of arrival
    screening: Screening  # without preview, heat and children
    shots: list[pictures.Shot]
    size: int  # of its pictures, in bytes of the page
    stripped: bool = False


@dataclass(slots=True)
class Ranking:
    """The first few of many, by a key."""

    most: int
    key: Callable[[Screening], tuple[float, ...]]
    entries: list[Entry] = field(default_factory=list)
    offered: int = 0

    def offer(self, s: Screening, number: int) -> None:
        """Keep it if it ranks among the first; only then are its pictures encoded."""
        self.offered += 1
        rank = (*self.key(s), number)
        if len(self.entries) >= self.most and rank >= self.entries[-1].rank:
            return
        shots = pictures.shots(s)
        entry = Entry(rank, number, _lean(s), shots, sum(shot.size for shot in shots))
        insort(self.entries, entry, key=lambda e: e.rank)
        del self.entries[self.most :]


@dataclass(slots=True)
class Page:
    """Collects screenings and writes them as one page."""

    path: str
    temporary: str
    finds: Ranking = field(default_factory=lambda: Ranking(MOST_FINDS, _severity))
    near: Ranking = field(default_factory=lambda: Ranking(NEAREST, _margin))
    vouched: Ranking = field(default_factory=lambda: Ranking(MOST_VOUCHED, _margin))
    troubled: list[Screening] = field(default_factory=list)
    rows: list[tuple[int, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    caveats: Counter[str] = field(default_factory=Counter)
    listed: int = 0  # bytes of rows

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
        self._make_room()

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

    def _add(self, s: Screening, depth: int) -> None:
        number = sum(self.counts.values())
        self.counts[word(s)] += 1
        self._list(s, number, depth)
        v = s.verdict
        if v is None:
            if len(self.troubled) < MOST_TROUBLED:
                self.troubled.append(_lean(s))
        elif found(s):
            if v.evidence or not s.children:  # a container that only carries a find is told by its member
                self.finds.offer(s, number)
        elif v.label is Label.BONA_FIDE:
            self.vouched.offer(s, number)
        elif v.evidence:
            self.near.offer(s, number)
        for child in s.children:
            self._add(child, depth + 1)

    def _list(self, s: Screening, number: int, depth: int) -> None:
        row = _row(s, number, depth)
        room = MOST_TABLE if found(s) or s.verdict is None else MOST_TABLE * 4 // 5  # what matters finds room
        if self.listed + len(row) <= room:
            self.listed += len(row.encode())
            self.rows.append((number, row))
        if calm(s) and s.verdict is not None:
            self.caveats[split_summary(s.verdict.summary)[1]] += 1

    def _make_room(self) -> None:
        """Take the pictures from whoever ranks last, until the rest fits."""
        ranked = [*self.finds.entries, *self.near.entries, *self.vouched.entries]
        over = sum(e.size for e in ranked) - MOST_PICTURES
        for entry in reversed(ranked):
            if over <= 0:
                return
            if entry.shots:
                over -= entry.size
                entry.shots, entry.size, entry.stripped = [], 0, True

    def _html(self, detectors: Sequence[tuple[str, str, str]], *, stopped: bool) -> Iterator[str]:
        yield from self._head(stopped=stopped)
        spent = 0
        told: set[int] = set()
        for title, words, ranking in (
            ("What was found", "", self.finds),
            ("Nearest to the threshold", "Inconclusive samples, those with most evidence first.", self.near),
            ("Shown to be bona fide", "", self.vouched),
        ):
            if not ranking.entries and ranking is not self.finds:
                continue
            brief = ranking is not self.finds
            yield f'<h2 id="{title.split()[0].lower()}">{title}</h2>'
            if words:
                yield f'<p class="soft">{words}</p>'
            if not ranking.entries:
                yield "<p>Nothing was found. That does not prove that everything is genuine: see what was not covered.</p>"
            shown = 0
            for e in ranking.entries:
                made = article(e.screening, [], f"s{e.number}", brief=brief, stripped=e.stripped)
                if spent + len(made.encode()) > MOST_ARTICLES:
                    break
                spent += len(made.encode())
                shown += 1
                told.add(e.number)
                yield article(e.screening, e.shots, f"s{e.number}", brief=brief) if e.shots else made
            if ranking.offered > shown:
                yield f'<p class="soft">{ranking.offered - shown:,} more: see the list of all samples.</p>'
        yield from self._trouble()
        yield from self._all(told)
        yield from _panel(detectors)
        yield "</main></body></html>\n"

    def _head(self, *, stopped: bool) -> Iterator[str]:
        now = datetime.now(UTC).astimezone()
        style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
        total = sum(self.counts.values())
        yield (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
            '<meta name="referrer" content="no-referrer">'
            f"<title>Assay report, {now:%Y-%m-%d %H:%M}</title><style>{style}</style></head><body>"
            f'<header class="top"><p class="soft">Assay report · {now:%Y-%m-%d %H:%M %z}</p><h1>{self._headline(total)}</h1>'
            + ("<p><b>The screening was stopped before its end.</b></p>" if stopped else "")
            + '</header><main><dl class="counts">'
        )
        for w, meaning in MEANINGS.items():
            if self.counts[w]:
                yield f'<div class="{tone_of(w)}"><dt><b>{self.counts[w]:,}</b> <span class="word">{w}</span></dt><dd>{meaning}</dd></div>'
        yield "</dl>"
        if any(e.shots for r in (self.finds, self.near, self.vouched) for e in r.entries):
            yield (
                '<p class="soft show">Pictures are blurred until you click on them. '
                '<input type="checkbox" id="everything"><label for="everything">Show all pictures</label></p>'
            )

    def _headline(self, total: int) -> str:
        fakes, declared = self.counts["fake"], self.counts["fake, declared"]
        broken = sum(self.counts[str(w)] for w in Status)
        noun = "sample" if total == 1 else "samples"
        parts = [f"{_of(fakes, total, noun)} called fake" if fakes else ""]
        if declared:
            count = f"{declared:,} more" if fakes else f"{declared:,} of {total:,} {noun}"
            says = "says itself that a machine made or altered it"
            plural = "say themselves that a machine made or altered them"
            parts.append(f"{count} {says if declared == 1 else plural}")
        if not fakes and not declared:
            parts.append(f"Nothing found in {total:,} {noun}")
        if broken:
            parts.append(f"{broken:,} could not be examined")
        return html.escape("; ".join(p for p in parts if p)) + "."

    def _trouble(self) -> Iterator[str]:
        if not self.troubled:
            return
        yield '<h2 id="trouble">Could not be examined</h2><div class="scroll"><table class="list"><thead><tr><th scope="col">Status</th><th scope="col">Name</th><th scope="col">Why, and what to do</th></tr></thead><tbody>'
        for s in self.troubled:
            p = s.error
            says = f"{sentence(p.message)} {sentence(p.hint)}" if p else ""
            yield f'<tr><td class="{tone(s)}">{html.escape(word(s))}</td><td>{text(s.path, 200)}</td><td>{text(says, 400)}</td></tr>'
        yield "</tbody></table></div>"
        more = sum(self.counts[str(w)] for w in Status) - len(self.troubled)
        if more > 0:
            yield f'<p class="soft">{more:,} more: see the list of all samples.</p>'

    def _all(self, told: set[int]) -> Iterator[str]:
        yield '<h2 id="all">All samples</h2><div class="scroll"><table class="list samples"><thead><tr><th scope="col">Verdict</th><th scope="col">Name</th><th scope="col">What it says</th></tr></thead><tbody>'
        for number, row in self.rows:
            yield row if number in told else row.replace(f'<a href="#s{number}">', "<a>", 1)
        yield "</tbody></table></div>"
        missing = sum(self.counts.values()) - len(self.rows)
        if missing > 0:
            yield f'<p class="soft">{missing:,} more samples are not listed here; <code>--json</code> has all of them.</p>'
        caveats = [(t, n) for t, n in self.caveats.most_common(MOST_CAVEATS) if t]
        if caveats:
            yield '<h3 class="caveats">What finding nothing is worth</h3><ul class="plain">'
            yield from (
                f"<li><b>{n:,} sample{'s' if n != 1 else ''}:</b> {text(t, 1500)}</li>" for t, n in caveats
            )
            yield "</ul>"


def _severity(s: Screening) -> tuple[float, ...]:
    """Undeclared fakes first, then by strength."""
    v = s.verdict
    return (float(v.disclosed is True), -v.llr) if v else (2.0, 0.0)


def _margin(s: Screening) -> tuple[float, ...]:
    """How far the evidence stays below its threshold, in nats; at equal distance, what marks a place stands first."""
    v = s.verdict
    if v is None:
        return (0.0, 0.0)
    places = sum(bool(e.finding.regions) for e in v.evidence)
    return (v.threshold if v.threshold is not None else UNMEASURED) - v.llr, -float(places)


def _lean(s: Screening) -> Screening:
    """Without what is heavy."""
    v = s.verdict
    if v is not None:
        light = tuple(
            e if e.finding.heat is None else replace(e, finding=replace(e.finding, heat=None))
            for e in v.evidence
        )
        v = replace(v, evidence=light)
    return replace(s, verdict=v, preview=None, children=())


def _row(s: Screening, number: int, depth: int) -> str:
    name = s.path.rpartition("!")[2] if depth else s.path
    if s.verdict is not None:
        first, rest = split_summary(s.verdict.summary)
        says = first if calm(s) or found(s) else f"{first} {rest}"
    else:
        says = sentence(s.error.message) if s.error else ""
    inside = f'<span class="inside" style="margin-left:{min(depth, 4) - 1}rem">└</span> ' if depth else ""
    return (
        f'<tr><td class="{tone(s)}">{html.escape(word(s))}</td><td>{inside}<a href="#s{number}">{text(name, 160)}</a></td>'
        f"<td>{text(says, 300)}</td></tr>"
    )


def _of(n: int, total: int, noun: str) -> str:
    return f"{n:,} of {total:,} {noun} {'is' if n == 1 else 'are'}"


def _panel(detectors: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    yield '<h2 id="panel">What was used</h2><div class="scroll"><table class="list"><thead><tr><th scope="col">Detector</th><th scope="col">What it reads</th></tr></thead><tbody>'
    for name, summary, unavailable in detectors:
        missing = f" <b>Not used: {text(sentence(unavailable), 200)}</b>" if unavailable else ""
        yield f"<tr><td>{text(name.replace('_', ' '), 60)}</td><td>{text(sentence(summary), 300)}{missing}</td></tr>"
    yield (
        '</tbody></table></div><h2 id="reading">How to read this</h2><ul class="plain">'
        "<li><b>Points</b> say how strongly a trace speaks: +2.3 makes a fake ten times as likely as before, -2.3 ten times less "
        "likely (log-likelihood ratios in nats). <b>Not counted</b> is shown, but its reliability for such media was not measured.</li>"
        "<li><b>The threshold</b> is set so that a known share of bona fide media, and no more, would reach it.</li>"
        "<li><b>The probability</b> holds if, before anything was examined, it was as likely fake as stated beside it. "
        "Where fakes are rarer than that, it is too high.</li>"
        "<li><b>Nothing found</b> means just that. What is listed as not covered was not looked for.</li></ul>"
    )
