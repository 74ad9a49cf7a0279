"""Small pictures inside of a page: previews, heat maps, boxes, time lines; as text that needs nothing from outside."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.types import Evidence, Region, Screening

QUALITY = 72


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture, encoded, with what is drawn over it."""

    jpeg: bytes
    width: int
    height: int
    regions: tuple[Region, ...] = ()
    heat: bytes = b""  # a PNG with alpha
    time_s: float | None = None

    @property
    def size(self) -> int:
        return (len(self.jpeg) + len(self.heat)) * 4 // 3


def shots(screening: Screening) -> list[Shot]:
    """Encode the previews of a screening with the regions and the strongest heat map of its evidence."""
    preview = screening.preview
    if preview is None:
        return []
    evidence = screening.verdict.evidence if screening.verdict else ()
    heat = _strongest_heat(evidence)
    made = []
    for k, picture in enumerate(preview.pictures):
        time_s = preview.times_s[k] if k < len(preview.times_s) else None
        regions = tuple(
            r for e in evidence for r in e.finding.regions if time_s is None or r.time_s == time_s
        )
        height, width = picture.shape[:2]
        made.append(
            Shot(_jpeg(picture), width, height, regions, _heat_png(heat) if heat is not None else b"", time_s)
        )
    return made


def figure(shot: Shot, identity: str, subject: str) -> str:
    """A picture, blurred until it is clicked; without a script."""
    regions = "".join(_polygon(r) for r in shot.regions)
    size = shot.regions[0] if shot.regions else None
    box = f"0 0 {size.width} {size.height}" if size else "0 0 1 1"
    overlay = (
        f'<svg viewBox="{box}" preserveAspectRatio="none" aria-hidden="true">{regions}</svg>'
        if regions
        else ""
    )
    heat = f'<img class="heat" alt="" src="data:image/png;base64,{_b64(shot.heat)}">' if shot.heat else ""
    marked = (
        f", {len(shot.regions)} marked region{'s' if len(shot.regions) != 1 else ''}" if shot.regions else ""
    )
    when = f" at {clock(shot.time_s)}" if shot.time_s is not None else ""
    caption = "; ".join(
        text
        for text in (
            when.strip(),
            f"{len(shot.regions)} region{'s' if len(shot.regions) != 1 else ''} marked"
            if shot.regions
            else "",
            "red: the strongest traces" if shot.heat else "",
        )
        if text
    )
    return (
        f'<figure><input class="reveal" type="checkbox" id="{identity}" aria-label="Show the picture of {subject}{when}">'
        f'<label class="shot" for="{identity}"><img alt="Small picture of {subject}{when}{marked}" width="{shot.width}" '
        f'height="{shot.height}" src="data:image/jpeg;base64,{_b64(shot.jpeg)}">{heat}{overlay}'
        f'<span class="hint" aria-hidden="true">Click to show</span></label>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def timeline(evidence: Sequence[Evidence], duration_s: float) -> str:
    """One bar for each detector that spoke of segments: darker where its score is higher within the clip."""
    rows = []
    for e in evidence:
        scored = [s for s in e.finding.segments if s.score is not None]
        if not scored or duration_s <= 0:
            continue
        scores = np.array([s.score for s in scored], float)
        span = float(np.ptp(scores)) or 1.0
        least = max(duration_s / 200, 0.02)
        bars = "".join(
            f'<rect x="{1000 * s.start_s / duration_s:.1f}" width="{1000 * max(s.end_s - s.start_s, least) / duration_s:.1f}" '
            f'y="0" height="30" fill="#c1121f" opacity="{0.15 + 0.85 * (float(s.score or 0) - float(scores.min())) / span:.2f}">'
            f"<title>{clock(s.start_s)}: {s.score:.2f}</title></rect>"
            for s in scored
        )
        name = html.escape(e.detector)
        rows.append(
            f'<p class="soft">{name}, from {scores.min():.2f} (light) to {scores.max():.2f} (dark)</p>'
            f'<svg class="track" viewBox="0 0 1000 30" preserveAspectRatio="none" role="img" '
            f'aria-label="Scores of {name} from 0:00 to {clock(duration_s)}">{bars}</svg>'
        )
    return "".join(rows)


def clock(seconds: float) -> str:
    minutes, rest = divmod(max(0.0, seconds), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def _polygon(region: Region) -> str:
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in region.points)
    return f'<polygon class="under" points="{points}"/><polygon points="{points}"/>'


def _strongest_heat(evidence: Sequence[Evidence]) -> NDArray[np.uint8] | None:
    with_heat = [e for e in evidence if e.finding.heat is not None]
    if not with_heat:
        return None
    return max(with_heat, key=lambda e: (e.llr or 0.0, e.finding.score or 0.0)).finding.heat


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def _heat_png(heat: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    red = np.zeros((*heat.shape, 4), np.uint8)
    red[..., 0] = 230
    red[..., 3] = heat
    out = io.BytesIO()
    Image.fromarray(red).save(out, "PNG", optimize=True)
    return out.getvalue()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
