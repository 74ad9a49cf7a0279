"""The bench's report: one HTML file with figures, curves, breakdowns, failures and digests. Nothing from outside."""

from __future__ import annotations

import contextlib
import html
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import numpy as np

from assay import __version__
from assay.bench import diagrams, metrics
from assay.bench.bootstrap import LEVEL, Estimate
from assay.bench.fused import PANEL
from assay.bench.metrics import Flags, Floats
from assay.bench.summary import Figures, Line, Part
from assay.bench.table import Told, failures, short
from assay.errors import AssayError
from assay.report.escape import printable

MOST_FAILURES = 200
MOST_OPEN = 16  # rows of a breakdown that are shown at once
DASH = "\N{EN DASH}"
TITLES = {
    "laundering": "By laundering",
    "family": "By family",
    "kind": "By kind of manipulation",
    "generator": "By generator",
    "size": "By size (short side: small under 256 pixels, medium under 1024)",
    "source": "By source",
}
HEAD = (
    ("AUC", "probability that a fake scores higher than a bona fide sample"),
    ("EER", "error rate where both errors are equal"),
    ("TPR at 1 % FPR", "fakes over the threshold that 1 % of bona fide samples may reach"),
    ("False alarms", "bona fide samples called fake at the shipped thresholds"),
    ("Found", "fakes called fake at the shipped thresholds"),
    ("Cllr", "cost of the calibrated LLRs in bits; 1 is saying nothing"),
    ("ECE", "gap between probability and truth"),
    ("Decided", "share with a verdict other than inconclusive"),
    ("Region F1", "overlap of regions with the true mask, fakes that have one"),
)


def write_text(path: Path, text: str) -> None:
    """Write a page or a file of figures in one step: what was there before stays whole until then.

    Raises
    ------
    AssayError
        If the file cannot be written.
    """
    temporary = path.with_name(f"{path.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as e:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise AssayError(
            f"{path} cannot be written: {(e.strerror or str(e)).lower()}",
            code="output",
            hint="Name another folder with --out; what was computed is cached.",
        ) from e


def page(told: Told) -> Iterator[str]:
    """Yield the page, piece by piece."""
    style = "".join(
        resources.files(package).joinpath(name).read_text("utf-8")
        for package, name in (("assay.report", "page.css"), ("assay.bench", "report.css"))
    )
    now = datetime.now(UTC)
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Assay bench, {now:%Y-%m-%d %H:%M}</title><style>{style}</style></head><body>"
    )
    yield f'<p class="soft">Assay {__version__} · bench · {now:%Y-%m-%d %H:%M} UTC</p>'
    yield f"<h1>{_headline(told)}</h1>"
    yield from _lead(told)
    yield from _figures(told)
    yield from _curves(told)
    for grouping, title in TITLES.items():
        if grouping in told.summary.parts:
            yield from _breakdown(title, told.summary.parts[grouping], told)
    yield from _failed(told)
    yield from _made(told)
    yield "</body></html>"


def _headline(told: Told) -> str:
    panel = told.summary.removed.get(PANEL)
    if panel is None:
        return "Nothing could be scored"
    if not (panel.false_alarms.known or panel.found.known):
        return (
            f"Panel AUC {short(panel.auc.value)}, nothing calibrated"
            if panel.auc.known
            else "Nothing calibrated"
        )
    if panel.auc.known:
        return f"Panel AUC {short(panel.auc.value)}, {_percent(panel.false_alarms.value)} false alarms"
    if panel.n[0]:
        return f"{_percent(panel.false_alarms.value)} false alarms on {panel.n[0]} renditions"
    return f"{_percent(panel.found.value)} of {panel.n[1]} renditions called fake"


def _lead(told: Told) -> Iterator[str]:
    manifest = told.order.manifest
    bona_fide = len(manifest.entries) - manifest.fakes
    yield (
        f'<p class="lead">{bona_fide} bona fide samples and {manifest.fakes} fakes of {manifest.sources} sources, '
        f"through {len(told.order.launderings)} launderings.</p>"
        "<p>Metadata, credentials, watermarks and signatures are removed or their detectors switched off; both classes are written by "
        f"the same encoder. Brackets are {LEVEL:.0%} intervals from sources drawn anew, so that many renditions of one "
        "source count as one; with few sources they grow.</p>"
    )
    if told.unread:
        yield (
            f'<p class="trouble"><span class="word">Not examined:</span> {told.unread} samples, since no detector of this '
            "run reads such media. No figure holds them.</p>"
        )
    if "as_is" in told.order.launderings:
        yield (
            '<p class="trouble"><span class="word">Note:</span> "as_is" are files as their makers wrote them. There the '
            "encoder alone may tell the classes apart: see <code>assay bench audit</code>.</p>"
        )
    if not bona_fide or not manifest.fakes:
        yield (
            '<p class="trouble"><span class="word">One class alone:</span> AUC, EER, TPR at 1 % FPR, Cllr and ECE need '
            "both classes and are left empty.</p>"
        )


def _figures(told: Told) -> Iterator[str]:
    yield "<h2>Figures</h2>"
    yield '<div class="scroll"><table class="figures"><thead><tr><th>Metadata removed</th>'
    yield "".join(f'<th class="number" title="{html.escape(text)}">{name}</th>' for name, text in HEAD)
    if told.summary.kept:
        yield '<th class="number with">With metadata: AUC</th><th class="number with">False alarms</th><th class="number with">Found</th>'
    yield '<th class="number">n</th></tr></thead><tbody>'
    for name in told.columns:
        yield _figure_row(name, told)
    yield "</tbody></table></div>"
    yield (
        '<p class="soft">n: bona fide + fake renditions, below them how many of these it scored, and the sources. Detectors are calibrated and thresholded '
        f"one by one as shipped (budget {_percent(told.budget)}), the panel as fused, without asking whether saved-again copies would get the same answer. A dash: nothing can be said, since a "
        "class, a mask, a calibration or the 99 bona fide renditions that 1 % needs are missing. TPR at 1 % FPR takes the "
        "split-conformal quantile of these bona fide renditions as its threshold.</p>"
    )


def _figure_row(name: str, told: Told) -> str:
    f = told.summary.removed.get(name)
    cells = [f'<th scope="row">{html.escape(name)}</th>']
    if f is None:
        off = "reads metadata or marks: switched off" if name in told.switched_off else "no row"
        cells.append(f'<td class="soft" colspan="{len(HEAD)}">{off}</td>')
    else:
        cells += [
            _cell(e) for e in (f.auc, f.eer, f.tpr, f.false_alarms, f.found, f.cllr, f.ece, f.decided, f.f1)
        ]
    kept = told.summary.kept.get(name)
    if told.summary.kept:
        cells += (
            [_cell(e, "with") for e in (kept.auc, kept.false_alarms, kept.found)]
            if kept
            else ["<td></td>"] * 3
        )
    known = f or kept
    cells.append(_n_cell(known) if known else "<td></td>")
    kind = ' class="panel"' if name == PANEL else ""
    return f"<tr{kind}>{''.join(cells)}</tr>"


def _cell(e: Estimate, more: str = "") -> str:
    kind = f"number {more}".strip()
    if not e.known:
        return f'<td class="{kind}">{DASH}</td>'
    high = "∞" if not math.isfinite(e.high) else short(e.high)
    told = f"n = {e.n}, {e.sources} sources"
    return f'<td class="{kind}" title="{told}">{short(e.value)}<small>{short(e.low)}{DASH}{high}</small></td>'


def _n_cell(f: Figures) -> str:
    return (
        f'<td class="number">{f.n[0]} + {f.n[1]}<small>{_scored(f)}{f.sources[0]} + {f.sources[1]} sources'
        f"{f', {f.failed} failed' if f.failed else ''}</small></td>"
    )


def _scored(f: Figures) -> str:
    """Say on how many it spoke, where that is not on all."""
    return "" if f.heard == f.n else f"{f.heard[0]} + {f.heard[1]} scored, "


def _curves(told: Told) -> Iterator[str]:
    scored = {name: _vectors(lines, "score") for name, lines in _ordered(told)}
    calibrated = {name: _vectors(lines, "llr") for name, lines in _ordered(told)}
    binned = {name: metrics.reliability(*both) for name, both in calibrated.items()}
    there = {name: r for name, r in binned.items() if r is not None}
    both = {name: v for name, v in scored.items() if v[1].any() and not v[1].all()}
    if not both:
        return
    yield "<h2>Curves</h2><div class='charts'>"
    yield f"<figure>{diagrams.roc(both)}<figcaption>ROC: every threshold's two rates. {_legend(both)}</figcaption></figure>"
    yield f"<figure>{diagrams.det(both)}<figcaption>DET: both errors, on normal-deviate axes. {_legend(both)}</figcaption></figure>"
    if there:
        yield (
            f"<figure>{diagrams.reliability(there)}<figcaption>Reliability: on the diagonal a probability means what it says; "
            f"a dot's area is its share of the samples. {_legend(there)}</figcaption></figure>"
        )
    yield "</div>"


def _ordered(told: Told) -> Iterator[tuple[str, Sequence[Line]]]:
    for name in told.columns:
        if name in told.summary.lines:
            yield name, [x for x in told.summary.lines[name] if not x.failed]


def _vectors(lines: Sequence[Line], value: str) -> tuple[Floats, Flags]:
    scores = np.array([getattr(x, value) for x in lines], np.float64)
    there = np.isfinite(scores)
    return scores[there], np.array([x.entry.fake for x in lines], bool)[there]


def _legend(columns: Mapping[str, object]) -> str:
    return " ".join(
        f'<span class="legend c{k % diagrams.COLOURS}">{html.escape(name)}</span>'
        for k, name in enumerate(columns)
    )


def _breakdown(title: str, parts: Sequence[Part], told: Told) -> Iterator[str]:
    columns = [name for name in told.columns if any(name in p.figures for p in parts)]
    detectors = [name for name in columns if name != PANEL]
    long = len(parts) > MOST_OPEN
    yield f"<h2>{title}</h2>" + (f"<details><summary>Show {len(parts)} of them</summary>" if long else "")
    yield '<div class="scroll"><table class="figures"><thead><tr><th></th>'
    if PANEL in columns:
        yield '<th class="number">False alarms</th><th class="number">Found</th><th class="number">Panel AUC</th>'
    yield "".join(f'<th class="number">{html.escape(name)} AUC</th>' for name in detectors)
    yield '<th class="number">n</th></tr></thead><tbody>'
    for part in parts:
        yield f"<tr>{''.join(_part_cells(part, columns, detectors))}</tr>"
    yield "</tbody></table></div>" + ("</details>" if long else "")
    notes = []
    if any(p.against_all for p in parts):
        notes.append("* fakes alone: they stand against all bona fide renditions.")
    if title == TITLES["source"]:
        notes.append("Of one source nothing can be drawn anew: its intervals stay open.")
    if notes:
        yield f'<p class="soft">{" ".join(notes)}</p>'


def _part_cells(part: Part, columns: Sequence[str], detectors: Sequence[str]) -> Iterator[str]:
    star = " *" if part.against_all else ""
    yield f'<th scope="row">{html.escape(printable(part.name, limit=60))}{star}</th>'
    first = next(iter(part.figures.values()))
    panel = part.figures.get(PANEL)
    if panel is not None:
        yield "<td></td>" if part.against_all else _cell(panel.false_alarms)
        yield _cell(panel.found)
        yield _cell(panel.auc)
    elif PANEL in columns:
        yield "<td></td><td></td><td></td>"
    for name in detectors:
        yield _cell(part.figures[name].auc) if name in part.figures else "<td></td>"
    yield _n_cell(panel or first)


def _failed(told: Told) -> Iterator[str]:
    found = failures(told)
    if not found:
        return
    samples = len({name for name, _, _ in found})
    yield f"<h2>What failed: {samples} of {len(told.order.manifest.entries)} samples, wholly or in part</h2>"
    yield '<div class="scroll"><table><thead><tr><th>Sample</th><th>Why</th><th class="number">Results</th></tr></thead><tbody>'
    for name, why, n in found[:MOST_FAILURES]:
        yield f'<tr><th scope="row">{_text(name)}</th><td>{_text(why)}</td><td class="number">{n}</td></tr>'
    yield "</tbody></table></div>"
    if len(found) > MOST_FAILURES:
        yield f'<p class="soft">and {len(found) - MOST_FAILURES} more, in summary.json.</p>'


def _made(told: Told) -> Iterator[str]:
    about = told.about
    rows = [
        ("Command", told.command),
        ("Manifest", f"{told.order.manifest.path} (SHA-256 {about['manifest']})"),
        ("Calibration", str(about["calibration"])),
        (
            "Launderings",
            f"{', '.join(told.order.launderings)} (version {about['laundering_version']}, seed {about['seed']})",
        ),
        ("Detectors", ", ".join(f"{c.name} {c.version}" for c in told.order.panel.cards)),
        ("Results", f"{told.done.computed} computed, {told.done.reused} from the cache"),
    ]
    yield "<h2>How it was made</h2><table><tbody>"
    yield from (f'<tr><th scope="row">{k}</th><td><code>{_text(v, 4000)}</code></td></tr>' for k, v in rows)
    yield "</tbody></table>"


def _text(words: str, limit: int = 300) -> str:
    return html.escape(printable(words, limit=limit))


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
