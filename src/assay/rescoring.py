"""Score mildly re-encoded copies of a picture, for a decision that lies near its threshold."""

from __future__ import annotations

import time
from collections.abc import Sequence

from assay.evidence import renditions
from assay.evidence.panel import Panel, Request
from assay.media.decoder import Packed
from assay.media.views import upright_box
from assay.types import Evidence, Rescored

LONGEST = 65_500  # pixels: what a JPEG can hold
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
INVERSE = {6: 8, 8: 6}


def rescore(
    panel: Panel, packed: Packed, findings: Sequence[Evidence], names: tuple[str, ...], seconds: float
) -> tuple[Rescored, ...]:
    """Let the named detectors examine one mild re-encoding after the other, while there is time.

    Parameters
    ----------
    packed
        The decoded picture, still in its arena.
    findings
        What was found in it: a picture of more than a megapixel is cut out around the strongest region.
    names
        The detectors that carry the decision (`verdict.stability.carrying`).
    seconds
        After this long no further copy is begun; 0 scores none.
    """
    height, width = packed.view["coded"]["shape"][:2]
    orientation = int(packed.view["orientation"])
    cut = renditions.window((width, height), _strongest(findings, names, orientation))
    until = time.monotonic() + seconds
    done = []
    for mild in renditions.MILD:
        size = renditions.size_of((width, height), mild, cut)
        if time.monotonic() >= until or max(size) > LONGEST:
            break
        request = Request(packed.view, names, packed.arena_fd, packed.used, rendition=mild.name, cut=cut)
        answers = panel.examine(request)
        scores = {name: said[0].score for name, said in answers.findings.items()}
        upright = (size[1], size[0]) if orientation in TURNED else size
        done.append(Rescored(mild.name, upright, mild.quality, scores))
    return tuple(done)


def _strongest(
    findings: Sequence[Evidence], names: tuple[str, ...], orientation: int
) -> renditions.Box | None:
    """The coded box around the strongest region that a carrying detector named."""
    regions = [r for e in findings if e.detector in names for r in e.finding.regions]
    if not regions:
        return None
    best = max(regions, key=lambda r: r.score or 0.0)
    x, y = min(p[0] for p in best.points), min(p[1] for p in best.points)
    w, h = max(p[0] for p in best.points) - x, max(p[1] for p in best.points) - y
    box = upright_box((x, y, w, h), (best.height, best.width), INVERSE.get(orientation, orientation))
    return (int(box[0]), int(box[1]), int(box[2]), int(box[3]))
