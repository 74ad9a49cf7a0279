"""Findings as plain JSON and back: for the wire between processes, for records and for the contract."""

from __future__ import annotations

import base64

import numpy as np

from assay.types import JSON, Finding, Outcome, Reason, Region, Segment


def plain_finding(finding: Finding) -> JSON:
    """Describe a finding without its heat map."""
    return {
        "outcome": str(finding.outcome),
        "score": rounded(finding.score, 6),
        "reasons": [{"code": r.code, "text": r.text} for r in finding.reasons],
        "regions": [_plain_region(r) for r in finding.regions],
        "segments": [
            {"start_s": s.start_s, "end_s": s.end_s, "score": rounded(s.score, 4)} for s in finding.segments
        ],
    }


def finding_of(data: JSON) -> Finding:
    """Rebuild a finding from `plain_finding` or `packed_finding`.

    Raises
    ------
    KeyError, TypeError, ValueError
        If `data` is not of that form.
    """
    heat = data.get("heat")
    return Finding(
        Outcome(data["outcome"]),
        data["score"],
        tuple(Reason(str(r["code"]), str(r["text"])) for r in data["reasons"]),
        tuple(_region_of(r) for r in data["regions"]),
        tuple(Segment(s["start_s"], s["end_s"], s["score"]) for s in data["segments"]),
        np.frombuffer(base64.b64decode(heat["bytes"]), np.uint8).reshape(heat["shape"]) if heat else None,
    )


def packed_finding(finding: Finding) -> JSON:
    """Describe a finding with its heat map, for another process."""
    heat = finding.heat
    described = plain_finding(finding) | {"score": finding.score}
    if heat is not None:
        encoded = base64.b64encode(np.ascontiguousarray(heat, np.uint8).tobytes()).decode()
        described["heat"] = {"shape": list(heat.shape), "bytes": encoded}
    return described


def rounded(number: float | None, digits: int) -> float | None:
    return None if number is None else round(float(number), digits)


def _plain_region(region: Region) -> JSON:
    x, y = min(p[0] for p in region.points), min(p[1] for p in region.points)
    w, h = max(p[0] for p in region.points) - x, max(p[1] for p in region.points) - y
    is_box = region.points == Region.box(x, y, w, h, width=region.width, height=region.height).points
    return {
        "type": "box" if is_box else "polygon",
        "box": [float(v) for v in (x, y, w, h)],
        "points": [[float(px), float(py)] for px, py in region.points],
        "width": region.width,
        "height": region.height,
        "score": rounded(region.score, 4),
        "time_s": rounded(region.time_s, 3),
    }


def _region_of(data: JSON) -> Region:
    points = tuple((float(p[0]), float(p[1])) for p in data["points"])
    return Region(points, int(data["width"]), int(data["height"]), data["score"], data["time_s"])
