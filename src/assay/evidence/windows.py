"""Merge what one detector said of the frames or windows of a clip into one finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from assay.evidence.panel import Answers
from assay.types import Finding, Outcome, Segment

MOST_REGIONS = 64


@dataclass(slots=True)
class Gathered:
    """What detectors said of one part after the other of a clip."""

    unit: str
    answers: Answers = field(default_factory=Answers)
    spans: list[tuple[float, float]] = field(default_factory=list)

    def add(self, answers: Answers, spans: list[tuple[float, float]]) -> None:
        self.spans += spans
        for name, findings in answers.findings.items():
            for finding in findings:
                self.answers.add(name, finding, 0.0)
            self.answers.elapsed_s[name] += answers.elapsed_s[name]

    def merge(self, findings: list[Finding]) -> Finding:
        return merge(findings, self.spans[: len(findings)], self.unit)


def merge(findings: Sequence[Finding], spans: Sequence[tuple[float, float]], unit: str) -> Finding:
    """One finding for a clip: the mean of the scores, a segment for each part, the strongest part's reasons.

    Parts that a detector could not judge do not dilute the score. The mean, not the maximum: a maximum over many
    frames grows with the length of a clip, and with it the false alarms.

    Parameters
    ----------
    findings : sequence of Finding, length N > 0
        In order of time.
    spans : sequence of (float, float), length N
        Start and end of each part, in seconds.
    unit : str
        What a part is called: "frame" or "window".
    """
    scored = [i for i, f in enumerate(findings) if f.score is not None]
    if not scored:
        worst = min(findings, key=lambda f: (f.outcome is Outcome.NOT_APPLICABLE, f.outcome))
        return replace(worst, segments=())
    scores = [float(findings[i].score or 0.0) for i in scored]
    strongest = findings[scored[int(np.argmax(scores))]]
    reasons = tuple(
        replace(
            r,
            text=f"{r.text} (mean of {len(scored)} {unit}s; strongest at {_clock(spans[scored[int(np.argmax(scores))]][0])})",
        )
        for r in strongest.reasons
    )
    regions = tuple(
        replace(r, time_s=spans[i][0]) if r.time_s is None else r for i in scored for r in findings[i].regions
    )
    segments = tuple(Segment(*spans[i], score) for i, score in zip(scored, scores, strict=True))
    return Finding(
        Outcome.SCORED, float(np.mean(scores)), reasons, regions[:MOST_REGIONS], segments, strongest.heat
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"
