"""One sample in the report: what, where, why, how sure, and what was not covered."""

from __future__ import annotations

import html
from collections.abc import Sequence

from assay.report import pictures
from assay.report.escape import printable
from assay.report.table import sentence, split_summary, word
from assay.types import Coverage, Evidence, Outcome, Screening, Stability, Verdict

MOST_ROWS = 20  # of evidence
MOST_REASONS = 6
MOST_SAID = 9000  # characters of all reasons together, so that no sample crowds out the others
SENTENCE = 600  # characters of a sentence that a sample may have had a word in
SUMMARY = 1500
CLASSES = {
    "fake": "fake",
    "fake, declared": "declared",
    "bona fide": "fine",
    "nothing found": "fine",
    "refused": "trouble",
    "failed": "trouble",
}
OUTCOMES = {Outcome.FAILED: "failed", Outcome.TIMED_OUT: "ran out of time"}
NOT_A_SUM = "The points need not add up to the total: like evidence counts up to a cap, and kinds of fake are weighed side by side."
NO_PICTURE = (
    "No picture: it would make the report too large. Screen this sample alone for a report that shows it."
)


def article(
    s: Screening,
    shots: Sequence[pictures.Shot],
    identity: str,
    *,
    brief: bool = False,
    stripped: bool = False,
) -> str:
    """Tell a sample in full.

    Parameters
    ----------
    s
        Its preview is not read.
    shots
        Its pictures, encoded.
    identity
        Unique in the page, safe as an attribute.
    brief
        Fold the evidence away until somebody opens it.
    stripped
        Whether its pictures were left out for want of room.
    """
    place, name = where(s.path)
    verdict = s.verdict
    first, rest = split_summary(verdict.summary if verdict else "")
    media = pictures.figure(shots, f"{identity}-p", text(name, 60)) if shots else ""
    if stripped:
        media = f'<p class="soft missing">{NO_PICTURE}</p>'
    rows = (_evidence(verdict.evidence, verdict.llr) if verdict and verdict.evidence else "") + _facts(s)
    opened = " open" if any(shot.marks for shot in shots) else ""  # what is drawn is explained
    layout = "wide" if len(shots) > 1 else "" if media else "bare"
    return (
        f'<article class="{tone(s)}" id="{identity}"><header><span class="word">{html.escape(word(s))}</span>'
        f'<h3>{text(name, 160)}</h3><p class="place">{text(place, 200)}</p></header>'
        f'<p class="lead">{_prose(first)}</p>{f"<p>{_prose(rest)}</p>" if rest else ""}'
        f'<div class="body {layout}">{media}<div class="told">'
        + (pictures.timeline(verdict.evidence, s.duration_s or 0.0) + _sureness(verdict) if verdict else "")
        + (f"<details{opened}><summary>Evidence and coverage</summary>{rows}</details>" if brief else rows)
        + f"</div></div>{_footer(s)}</article>"
    )


def text(raw: str, limit: int = SENTENCE) -> str:
    """Foreign text, fit for people and for HTML."""
    return html.escape(printable(raw, limit=limit))


def _prose(raw: str) -> str:
    """Sentences in which no number stands at the end of a line and its per cent sign on the next."""
    return text(raw, SUMMARY).replace(" %", "\N{NO-BREAK SPACE}%")


def where(path: str) -> tuple[str, str]:
    """Part a path into where it lies and what it is called; of a member: the path of what carries it.

    Examples
    --------
    >>> where("in/tip.eml!more.zip!deep/one.jpg")
    ('inside in/tip.eml > more.zip', 'deep/one.jpg')
    >>> where("photos/one.jpg")
    ('in photos', 'one.jpg')
    """
    outer, inside, member = path.rpartition("!")
    if inside:
        return f"inside {outer.replace('!', ' > ')}", member
    folder, slash, name = path.rpartition("/")
    return f"in {folder or '/'}" if slash else "", name


def tone(s: Screening) -> str:
    """The style of a sample's word."""
    return tone_of(word(s))


def tone_of(said: str) -> str:
    return CLASSES.get(said, "unsure")


def _sureness(v: Verdict) -> str:
    threshold = (
        f'threshold <span class="key"></span> {v.threshold:.2f}'
        if v.threshold is not None
        else "no threshold for this group"
    )
    return (
        f'<section class="sure"><h4>How sure</h4>{pictures.gauge(v.llr, v.threshold)}'
        f"<p><b>{_points(v.llr)} points</b> of evidence, {threshold}. "
        f"Probability of being fake: <b>{_percent(v.probability)}</b>, if before it was {_percent(v.prior)}.</p></section>"
    )


def _evidence(evidence: Sequence[Evidence], total: float) -> str:
    spoke = [e for e in evidence if e.finding.outcome is not Outcome.NOT_APPLICABLE]
    silent = [e for e in evidence if e.finding.outcome is Outcome.NOT_APPLICABLE]
    spoke.sort(key=_weight)
    told = sum(min(len(e.finding.reasons), MOST_REASONS) for e in spoke[:MOST_ROWS])
    limit = max(100, min(SENTENCE, MOST_SAID // max(told, 1)))
    rows = "".join(_row(e, limit) for e in spoke[:MOST_ROWS])
    more = f'<p class="soft">{len(spoke) - MOST_ROWS} more: use --json.</p>' if len(spoke) > MOST_ROWS else ""
    if abs(sum(e.llr or 0.0 for e in spoke) - total) >= 0.01 and any(e.llr for e in spoke):
        more += f'<p class="soft">{NOT_A_SUM}</p>'
    why = "; ".join(
        f"{_name(e)} ({text(_plain(e), 160)})" if e.finding.reasons else _name(e) for e in silent[:MOST_ROWS]
    )
    return (
        '<section><h4>Why</h4><table class="evidence"><thead><tr><th scope="col">Evidence</th><th scope="col" class="number">Points</th>'
        f'<th scope="col">What it says</th></tr></thead><tbody>{rows}</tbody></table>{more}'
        + (f'<p class="soft">Does not apply here: {why}.</p>' if why else "")
        + "</section>"
    )


def _weight(e: Evidence) -> tuple[int, float]:
    """What counts stands first, by its weight; then what is only shown; then what says nothing; then what broke."""
    if e.finding.outcome is not Outcome.SCORED:
        return 3, 0.0
    if e.llr:
        return 0, -abs(e.llr)
    shown = bool(e.finding.regions or e.finding.segments)
    return (1 if shown else 2), -float(e.llr is None)


def _row(e: Evidence, limit: int) -> str:
    if e.finding.outcome is not Outcome.SCORED:
        points, side = OUTCOMES[e.finding.outcome], "broken"
    elif e.llr is None:
        points, side = "not counted", "aside"
    else:
        points = _points(e.llr)
        side = "aside" if points == "0" else "toward" if e.llr > 0 else "away"
    reasons = e.finding.reasons
    said = "".join(f"<li>{text(sentence(r.text), limit)}</li>" for r in reasons[:MOST_REASONS])
    if len(reasons) > MOST_REASONS:
        said += f"<li>{len(reasons) - MOST_REASONS} more reasons: use --json.</li>"
    return (
        f'<tr><th scope="row">{_name(e)}</th><td class="number {side}" data-unit="{"points" if points[0] in "+-" else ""}">{points}</td>'
        f"<td><ul>{said}</ul></td></tr>"
    )


def _points(llr: float) -> str:
    return f"{llr:+.2f}" if abs(llr) >= 0.005 else "0"


def _name(e: Evidence) -> str:
    return text(e.detector.replace("_", " "), 60)


def _plain(e: Evidence) -> str:
    said = e.finding.reasons[0].text.strip().rstrip(".")
    return said[:1].lower() + said[1:]


def _facts(s: Screening) -> str:
    v, d = s.verdict, s.decision
    facts = [
        ("Examined", _examined(v.coverage) if v else ""),
        ("Not covered", "; ".join(v.coverage.blind_spots[:12]) if v else ""),
        ("Saved again", _saved_again(v.stability) if v and v.stability else ""),
        ("Kinds", ", ".join(v.kinds).replace("_", " ") if v and v.kinds else ""),
        ("Policy", f"{d.action} (rule {d.rule})" if d else ""),
        ("Quarantine", s.quarantine_id or ""),
        ("Notes", " ".join(sentence(w) for w in s.warnings[:8])),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{text(told, SUMMARY)}</dd>" for name, told in facts if told)
    return f"<section><h4>What was covered</h4><dl>{listed}</dl></section>"


def _examined(c: Coverage) -> str:
    if not c.examined:
        return "nothing that could speak for itself"
    names = ", ".join(n.replace("_", " ") for n in c.examined)
    if c.recall is None:
        return f"{names}. How many fakes they find among such media was not measured"
    low, high = c.recall
    kind = f" for {str(c.recall_kind).replace('_', ' ')}" if c.recall_kind else ""
    return f"{names}. Measured{kind}: {100 * low:.0f}-{100 * high:.0f} % found (n = {c.n})"


def _saved_again(s: Stability) -> str:
    low, high = s.llr
    answer = "and the answer changes" if s.flips else "and the answer stays"
    names = ", ".join(c.name for c in s.copies)
    return f"between {low:+.2f} and {high:+.2f} points, {answer} ({names})"


def _footer(s: Screening) -> str:
    sample = s.sample
    parts = [sample.media_type, f"{sample.size:,} bytes"]
    if s.size_px:
        parts.append(f"{s.size_px[0]} x {s.size_px[1]} pixels")
    if s.duration_s:
        parts.append(pictures.clock(s.duration_s))
    parts.append(f"screened {s.screened_at.astimezone():%Y-%m-%d %H:%M:%S %z}")
    digest = f" · SHA-256 <code>{html.escape(sample.sha256)}</code>" if sample.sha256 else ""
    return f"<footer>{text(' · '.join(parts), 300)}{digest}</footer>"


def _percent(share: float) -> str:
    """Never 0 or 100 where it is neither."""
    if 0 < share < 0.001:
        return "under 0.1\N{NO-BREAK SPACE}%"
    if 0.999 < share < 1:
        return "over 99.9\N{NO-BREAK SPACE}%"
    return f"{100 * share:.3g}\N{NO-BREAK SPACE}%"
