"""Screenings made by hand for the tests of what people see."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import numpy as np

from assay.types import (
    Action,
    Coverage,
    Decision,
    Evidence,
    Finding,
    Kind,
    Label,
    Outcome,
    Preview,
    Problem,
    Reason,
    Region,
    Sample,
    Screening,
    Segment,
    Status,
    Verdict,
    Why,
)

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUIET = "No sign of manipulation found. There is no threshold for such pictures."


def evidence(name: str = "jpeg_grid", llr: float | None = 3.0, **finding: Any) -> Evidence:
    said = {"reasons": (Reason("seam", "A seam runs through it."),), "score": 1.0} | finding
    return Evidence(name, 1, "jpeg", Finding(Outcome.SCORED, **said), llr)


def verdict(llr: float = 5.0, label: Label = Label.FAKE, **changes: Any) -> Verdict:
    quiet = label is Label.INCONCLUSIVE
    made = Verdict(
        label=label,
        why=Why.NOTHING_FOUND if quiet else None,
        summary=QUIET if quiet else "Strong evidence that it was put together. A seam was seen.",
        llr=llr,
        threshold=2.0,
        probability=0.9,
        prior=0.5,
        kinds=() if quiet else (Kind.SPLICE,),
        disclosed=None,
        evidence=(evidence(llr=llr),),
        coverage=Coverage(("jpeg_grid",), (0.5, 0.7), 120, ("swapped faces",), Kind.SPLICE),
        calibration="made",
    )
    return dataclasses.replace(made, **changes)


def screening(path: str = "photos/a.jpg", of: Verdict | None = None, **changes: Any) -> Screening:
    of = of or verdict()
    action = Action.QUARANTINE if of.label is Label.FAKE else Action.DELIVER
    made = Screening(
        Sample("1", "ab" * 32, 1234, "image/jpeg"),
        path,
        Status.SCREENED,
        WHEN,
        "0",
        of,
        Decision(action, "some_rule", "d"),
        size_px=(640, 480),
    )
    return dataclasses.replace(made, **changes)


def quiet(path: str = "photos/b.jpg", llr: float = 0.0, **changes: Any) -> Screening:
    return screening(path, verdict(llr, Label.INCONCLUSIVE), **changes)


def refused(path: str = "big.zip") -> Screening:
    problem = Problem("over_size", "it is over the limit", "raise limits.size_bytes")
    sample = Sample("2", "", 0, "application/zip")
    return Screening(sample, path, Status.REFUSED, WHEN, "0", error=problem)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def marked(path: str = "photos/marked.jpg", shape: tuple[int, int] = (90, 120)) -> Screening:
    """A find with a region, a heat map and a picture."""
    height, width = shape
    heat = np.zeros((60, 80), np.uint8)
    heat[10:20, 10:30] = 255
    box = Region.box(10, 20, 30, 40, width=width * 4, height=height * 4)
    found = evidence(llr=5.0, regions=(box,), heat=heat)
    return screening(path, verdict(evidence=(found,)), preview=Preview((noise(*shape),)))


def clip(frames: int = 4) -> Screening:
    """A find in a video, with a region and the strongest score at its third frame."""
    times = tuple(float(2 * k) for k in range(frames))
    scores = [0.1, 0.2, 0.9, 0.3] * frames
    spans = tuple(Segment(t, t, s) for t, s in zip(times, scores, strict=False))
    box = dataclasses.replace(Region.box(1, 1, 9, 9, width=64, height=48), time_s=4.0004)
    heat = np.full((6, 8), 200, np.uint8)
    found = evidence("swapped_face", 5.0, regions=(box,), segments=spans, heat=heat)
    pictures = tuple(noise(48, 64, k) for k in range(frames))
    of = verdict(evidence=(found,))
    return screening("v.mp4", of, duration_s=2.0 * frames, preview=Preview(pictures, times))
