"""Small pictures inside of a page: previews, heat maps, boxes, time lines; as text that needs nothing from outside."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.report.escape import printable
from assay.types import Evidence, Outcome, Region, Screening, Segment

QUALITY = 72
MOST_SHOTS = 16
FRAME_SIDE = 240  # pixels, of the longer side where there are several pictures
HEAT_SIDE = 176  # more than the eye can tell under a picture of 480
HEAT_LEVELS = 16
MOST_REGIONS = 64
MOST_CORNERS = 120
LEAST_WIDTH = 160  # pixels: a smaller preview is enlarged, to twice its size at most
MOST_TICKS = 400
FAINTEST = 0.25  # of a tick's height and ink: the lowest score is still seen
RED = (225, 29, 46)


@dataclass(frozen=True, slots=True)
class Mark:
    """One region that is drawn over a picture."""

    region: Region
    detector: str
    counted: bool  # does it weigh in the verdict?


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture, encoded, with what is drawn over it."""

    jpeg: bytes
    width: int
    height: int
    marks: tuple[Mark, ...] = ()
    heat: bytes = b""  # a PNG with alpha
    heat_of: str = ""  # the detector whose trace it shows
    time_s: float | None = None

    @property
    def size(self) -> int:
        """Bytes in the page, in base64."""
        return (len(self.jpeg) + len(self.heat)) * 4 // 3 + 8


def shots(screening: Screening) -> list[Shot]:
    """Encode the previews of a screening with the regions and the strongest heat map of its evidence."""
    preview = screening.preview
    if preview is None or not preview.pictures:
        return []
    evidence = screening.verdict.evidence if screening.verdict else ()
    pictures, times = preview.pictures, list(preview.times_s)
    if len(pictures) > MOST_SHOTS:  # evenly over the clip
        chosen = np.linspace(0, len(pictures) - 1, MOST_SHOTS).round().astype(int)
        pictures = tuple(pictures[k] for k in chosen)
        times = [times[k] for k in chosen if k < len(times)]
    timed = len(times) == len(pictures)
    marks = [
        Mark(r, e.detector, e.llr is not None and e.llr > 0)
        for e in evidence
        for r in e.finding.regions[:MOST_REGIONS]
    ]
    hot = _hottest(evidence)
    made = []
    for k, picture in enumerate(pictures):
        mine = tuple(m for m in marks if not timed or _nearest(m.region.time_s, times) in (k, None))
        heat = b""
        if hot is not None and (not timed or _nearest(_peak_s(hot), times) in (k, None)):
            heat = heat_png(hot.finding.heat)
        jpeg, width, height = _jpeg(picture, FRAME_SIDE if len(pictures) > 1 else None)
        shown = hot.detector if hot is not None and heat else ""
        made.append(Shot(jpeg, width, height, mine, heat, shown, times[k] if timed else None))
    return made


def figure(taken: Sequence[Shot], identity: str, subject: str) -> str:
    """One or several pictures of a sample, blurred until somebody clicks on them; without a script.

    Parameters
    ----------
    taken
        Not empty.
    identity
        Unique in the page, safe as an attribute.
    subject
        The sample's name, escaped for HTML.
    """
    many = len(taken) > 1
    noun = f"{len(taken)} pictures" if many else "picture"
    marked = any(s.marks or s.heat for s in taken)
    toggle = (
        f'<input class="marks" type="checkbox" id="{identity}-m" checked aria-label="Show marks over the {noun} of {subject}">'
        if marked
        else ""
    )
    legend = "".join(f"<li>{html.escape(line)}</li>" for line in _legend(taken))
    switch = f'<label class="switch" for="{identity}-m">Marks on or off</label>' if marked else ""
    frames = "".join(_frame(s, subject) for s in taken)
    return (
        f"<figure{' class=strip' if many else ''}>"
        f'<input class="reveal" type="checkbox" id="{identity}" aria-label="Show the {noun} of {subject}">{toggle}'
        f'<label class="shot" for="{identity}"><span class="hint" aria-hidden="true">Click to show</span>{frames}</label>'
        f"<figcaption>{f'<ul>{legend}</ul>' if legend else ''}{switch}</figcaption></figure>"
    )


def timeline(evidence: Sequence[Evidence], duration_s: float) -> str:
    """One track for each detector that spoke of stretches of time: higher and darker where its score is higher."""
    rows = []
    for e in evidence:
        segments = [s for s in e.finding.segments[:MOST_TICKS] if np.isfinite([s.start_s, s.end_s]).all()]
        if not segments or duration_s <= 0 or e.finding.outcome is not Outcome.SCORED:
            continue
        scores = np.array([s.score for s in segments if s.score is not None], float)
        low, high = (float(scores.min()), float(scores.max())) if scores.size else (0.0, 0.0)
        name = html.escape(printable(e.detector.replace("_", " ")))
        told = f"scores {low:.2f} (low) to {high:.2f} (high)" if scores.size else "stretches that it names"
        counted = "" if e.llr is not None else ", not counted"
        bars = "".join(_tick(s, duration_s, low, high) for s in segments)
        rows.append(
            f'<figure class="time"><figcaption><b>{name}</b>, {told}{counted}</figcaption>'
            f'<svg class="track{" aside" if e.llr is None else ""}" viewBox="0 0 1000 30" preserveAspectRatio="none" role="img" '
            f'aria-label="{name} from 0:00 to {clock(duration_s)}: {told}, {_strongest(segments)}">{bars}</svg></figure>'
        )
    if not rows:
        return ""
    ends = f'<p class="ends" aria-hidden="true"><span>0:00</span><span>{clock(duration_s / 2)}</span><span>{clock(duration_s)}</span></p>'
    return f'<div class="times">{"".join(rows)}{ends}</div>'


def gauge(llr: float, threshold: float | None) -> str:
    """How far the evidence leans to either side, and where the threshold lies. The scale ends at 7 points."""
    most = 7.0
    at = 50 + 50 * max(-1.0, min(1.0, llr / most))
    left, width = min(50.0, at), abs(at - 50)
    mark, told = "", "no threshold was measured"
    if threshold is not None:
        place = 50 + 50 * max(-1.0, min(1.0, threshold / most))
        mark = f'<rect class="threshold" x="{place - 0.4:.1f}" y="0" width=".8" height="12"/>'
        told = f"threshold {threshold:.2f}"
    side = "toward" if llr >= 0 else "away"
    return (
        f'<svg class="gauge" viewBox="0 0 100 12" preserveAspectRatio="none" role="img" '
        f'aria-label="Evidence {llr:+.2f} points on a scale from -7, bona fide, to +7, fake; {told}">'
        f'<rect class="rail" x="0" y="3" width="100" height="6"/><rect class="{side}" x="{left:.1f}" y="3" width="{width:.1f}" height="6"/>'
        f'<rect class="zero" x="49.8" y="1" width=".4" height="10"/>{mark}</svg>'
        '<p class="ends" aria-hidden="true"><span>bona fide</span><span>0</span><span>fake</span></p>'
    )


def clock(seconds: float) -> str:
    """Write a time within a clip.

    Examples
    --------
    >>> clock(3725.04)
    '1:02:05.0'
    """
    tenths = round(max(0.0, seconds) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest / 10:04.1f}" if hours else f"{minutes}:{rest / 10:04.1f}"


def _frame(shot: Shot, subject: str) -> str:
    when = f" at {clock(shot.time_s)}" if shot.time_s is not None else ""
    marked = f", {_count(len(shot.marks))} marked" if shot.marks else ""
    hot = ", with a heat map" if shot.heat else ""
    enlarged = max(shot.width, min(LEAST_WIDTH, 2 * shot.width))
    tallest = 28 * shot.width / max(shot.height, 1)
    heat = f'<img class="heat" alt="" src="data:image/png;base64,{_b64(shot.heat)}">' if shot.heat else ""
    drawn = "".join(_outline(m) for m in shot.marks)
    size = shot.marks[0].region if shot.marks else None
    svg = (
        f'<svg viewBox="0 0 {size.width} {size.height}" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'
        if size
        else ""
    )
    stamp = f'<span class="stamp">{clock(shot.time_s)}</span>' if shot.time_s is not None else ""
    return (
        f'<span class="frame" style="width:min(100%,{enlarged}px,{tallest:.2f}rem)">'
        f'<img class="picture" alt="Small picture of {subject}{when}{marked}{hot}" width="{shot.width}" height="{shot.height}" '
        f'src="data:image/jpeg;base64,{_b64(shot.jpeg)}">{heat}{svg}{stamp}</span>'
    )


def _legend(taken: Sequence[Shot]) -> list[str]:
    """Say what the lines and colours over the pictures mean."""
    lines = []
    for counted, style in ((True, "Solid outline"), (False, "Dashed outline, not counted")):
        marks = [m for s in taken for m in s.marks if m.counted is counted]
        names = ", ".join(dict.fromkeys(m.detector.replace("_", " ") for m in marks))
        if marks:
            lines.append(f"{style}: {_count(len(marks))} marked by {printable(names)}")
    hot = dict.fromkeys(s.heat_of for s in taken if s.heat)
    lines += [f"Red: where {printable(name.replace('_', ' '))} sees its trace most strongly" for name in hot]
    return lines


def _count(regions: int) -> str:
    return f"{regions} region{'s' if regions != 1 else ''}"


def _outline(mark: Mark) -> str:
    corners = mark.region.points
    corners = corners[:: -(-len(corners) // MOST_CORNERS)] if corners else ()
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in corners if np.isfinite([x, y]).all())
    over = "over" if mark.counted else "over aside"
    return f'<polygon class="under" points="{points}"/><polygon class="{over}" points="{points}"/>'


def _tick(segment: Segment, duration_s: float, low: float, high: float) -> str:
    """An instant is drawn wide enough to be seen and hit."""
    share = 1.0 if segment.score is None or high <= low else (segment.score - low) / (high - low)
    size = FAINTEST + (1 - FAINTEST) * share
    least = duration_s / 110
    width = max(segment.end_s - segment.start_s, least)
    start = min(
        max(segment.start_s - (least / 2 if width == least else 0), 0.0), max(duration_s - width, 0.0)
    )
    score = f": {segment.score:.2f}" if segment.score is not None else ""
    until = f" to {clock(segment.end_s)}" if segment.end_s > segment.start_s else ""
    return (
        f'<rect x="{1000 * start / duration_s:.1f}" width="{1000 * width / duration_s:.1f}" y="{30 - 30 * size:.1f}" '
        f'height="{30 * size:.1f}" opacity="{size:.2f}"><title>{clock(segment.start_s)}{until}{score}</title></rect>'
    )


def _strongest(segments: Sequence[Segment]) -> str:
    top = max(segments, key=lambda s: s.score if s.score is not None else -np.inf)
    return f"strongest at {clock(top.start_s)}"


def _nearest(time_s: float | None, times: Sequence[float]) -> int | None:
    """Which picture is meant; None: all of them."""
    return None if time_s is None else int(np.argmin(np.abs(np.array(times) - time_s)))


def _peak_s(e: Evidence) -> float | None:
    """When a clip's heat map was taken: at its strongest part."""
    scored = [s for s in e.finding.segments if s.score is not None]
    return max(scored, key=lambda s: s.score or 0.0).start_s if scored else None


def _hottest(evidence: Sequence[Evidence]) -> Evidence | None:
    """The map that says most: of what counts, else of what marks a region. Any other would only seem to accuse."""
    maps = [e for e in evidence if e.finding.heat is not None and e.finding.heat.ndim == 2]
    speaking = [e for e in maps if (e.llr or 0.0) > 0 or (e.llr is None and e.finding.regions)]
    return max(speaking, key=lambda e: (e.llr or 0.0, e.finding.score or 0.0), default=None)


def _jpeg(picture: NDArray[np.uint8], side: int | None) -> tuple[bytes, int, int]:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    if side is not None:
        image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue(), image.width, image.height


def heat_png(heat: NDArray[np.uint8] | None) -> bytes:
    """Encode a map in 16 depths of red, made smaller by its maxima so that a small spot survives."""
    from PIL import Image

    if heat is None or heat.size == 0:
        return b""
    step = -(-max(heat.shape) // HEAT_SIDE)
    rows, columns = (-(-n // step) * step for n in heat.shape)
    padded = np.zeros((rows, columns), np.uint8)
    padded[: heat.shape[0], : heat.shape[1]] = heat
    small = padded.reshape(rows // step, step, columns // step, step).max((1, 3))
    image = Image.fromarray(small // (256 // HEAT_LEVELS), "P")
    image.putpalette(bytes(RED) * HEAT_LEVELS)
    depths = bytes(255 * k // (HEAT_LEVELS - 1) for k in range(HEAT_LEVELS))
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True, bits=4, transparency=depths)
    return out.getvalue()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
