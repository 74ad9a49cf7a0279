"""Turn findings into nats: scores by detector, kind and family, reasons by family, then all together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from assay.settings import Settings
from assay.types import Evidence, Outcome, Reason
from assay.verdict import calibration as tables
from assay.verdict.calibration import Calibration, Context, Weight, clip
from assay.verdict.conformal import Threshold


@dataclass(frozen=True, slots=True)
class Weighed:
    """One detector's say: its evidence, what its score and reasons come to, in nats."""

    detector: str
    family: str
    score: float | None  # mean over its scored evidence; None: no calibration covers it
    stated: float
    forgeable: float
    reasons: tuple[tuple[Reason, Weight], ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """All that a verdict is decided by."""

    weighed: tuple[Weighed, ...]
    llr: float
    measured: float | None  # None: no measured detector spoke
    torn: float  # how strongly measured families contradict each other about one kind of fake
    stated: tuple[float, ...]  # what reasons come to, by family, each cut to its cap
    threshold: Threshold | None  # of the group, at the budget
    trusted: bool  # a valid credential of a trusted capture device, or a known original, stands
    decisive: bool  # so does decisive evidence for fake

    @property
    def over(self) -> bool:
        """Does measured evidence alone reach the group's threshold?"""
        return (
            self.threshold is not None and self.measured is not None and self.measured >= self.threshold.value
        )


def weigh(findings: Sequence[Evidence], context: Context, settings: Settings, known: Calibration) -> Balance:
    """Turn findings into nats: by detector, then by family, then all together."""
    spoken: dict[str, list[Evidence]] = {}
    for e in findings:
        if e.finding.outcome is Outcome.SCORED:
            spoken.setdefault(e.detector, []).append(e)
    weighed = [_weigh_detector(group, context, known) for group in spoken.values()]
    trusted = any(w.llr < 0 and w.decisive for one in weighed for _, w in one.reasons)
    if trusted:
        weighed = [_without_forgeable(one) for one in weighed]
    scores = [one.detector for one in weighed if one.score is not None]
    threshold = known.threshold(context, scores, settings.false_alarm_budget)
    return summed(weighed, threshold, context.media_family, known)


def summed(
    weighed: Sequence[Weighed], threshold: Threshold | None, media_family: str, known: Calibration
) -> Balance:
    """Fuse scores kind by kind, and add what reasons come to, family by family, each cut to its cap."""
    families: dict[str, float] = {}
    for one in weighed:
        families[one.family] = families.get(one.family, 0.0) + one.stated + one.forgeable
    stated = tuple(clip(total, known.cap(family)) for family, total in families.items())
    scores = {one.detector: one.score for one in weighed if one.score is not None}
    said = scores, media_family, known
    measured = tables.panel_llr(*said) if scores else None
    return Balance(
        weighed=tuple(weighed),
        llr=math.fsum((measured or 0.0, *stated)),
        measured=measured,
        torn=tables.panel_conflict(*said) if scores else 0.0,
        stated=stated,
        threshold=threshold,
        trusted=any(w.llr < 0 and w.decisive for one in weighed for _, w in one.reasons),
        decisive=any(w.llr > 0 and w.decisive for one in weighed for _, w in one.reasons),
    )


def _weigh_detector(group: Sequence[Evidence], context: Context, known: Calibration) -> Weighed:
    first = group[0]
    scores = [llr for e in group if (llr := score_llr(e, context, known)) is not None]
    codes = {r.code: r for e in group for r in e.finding.reasons}
    reasons = [(r, w) for code, r in codes.items() if (w := known.weights.get(f"{first.detector}.{code}"))]
    if any(w.voids for _, w in reasons):
        reasons = [(r, w) for r, w in reasons if w.llr >= 0]
    ratios = [known.ratio(e.detector, e.family, e.finding.score or 0.0) for e in group]
    ratio = math.fsum(ratios) / len(ratios)
    return Weighed(
        detector=first.detector,
        family=first.family,
        score=math.fsum(scores) / len(scores) if scores else None,
        stated=math.fsum([*(w.llr for _, w in reasons if not w.forgeable), ratio]),
        forgeable=math.fsum(max(w.llr, 0.0) for _, w in reasons if w.forgeable),
        reasons=tuple(reasons),
    )


def score_llr(e: Evidence, context: Context, known: Calibration) -> float | None:
    score = e.finding.score
    return None if score is None else known.llr_of_score(e.detector, e.version, score, context)


def _without_forgeable(one: Weighed) -> Weighed:
    """Beside a trusted credential, what anyone can write counts nothing, whatever it says."""
    kept = tuple((r, w) for r, w in one.reasons if not w.forgeable)
    return replace(one, forgeable=0.0, reasons=kept)
