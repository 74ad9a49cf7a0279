"""Would the decision survive delivery? What re-scored, mildly re-encoded copies of the sample say near the threshold.

A picture is saved again on nearly every way that it takes. Where a saved-again copy of the very same picture would get
the other answer, neither answer is worth much, and the verdict abstains.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from assay.settings import Settings
from assay.types import Evidence, Rescored, Stability
from assay.verdict.balance import Balance, summed, weigh
from assay.verdict.calibration import Calibration, Context, shipped

NEAR = 0.7  # nats, 2 to 1: measured evidence this close to its threshold is scored again


def carrying(
    findings: Sequence[Evidence],
    readers: Collection[str],
    *,
    context: Context,
    settings: Settings,
    calibration: Calibration | None = None,
) -> tuple[str, ...]:
    """Name the detectors to score again: those of `readers` that speak for fake where the sum lies near its threshold.

    Parameters
    ----------
    findings
        Of one sample, as recorded.
    readers
        Detectors that read pixels.

    Returns
    -------
    names : tuple of str
        Empty where measured evidence has no threshold, or is not within `NEAR` of it.
    """
    known = calibration or shipped(settings.reasons, settings.paths.calibration)
    balance = weigh(findings, context, settings, known)
    if balance.measured is None or balance.threshold is None:
        return ()
    if abs(balance.measured - balance.threshold.value) > NEAR:
        return ()
    return tuple(w.detector for w in balance.weighed if (w.score or 0.0) > 0 and w.detector in readers)


def measure(
    balance: Balance,
    findings: Sequence[Evidence],
    rescored: Sequence[Rescored],
    context: Context,
    settings: Settings,
    known: Calibration,
) -> Stability | None:
    """Weigh each re-encoded copy as the sample was, and say how far the sum moves and whether the answer flips.

    Returns
    -------
    stability : Stability or None
        `llr` is the range over sample and copies, in nats. None where nothing was scored again.
    """
    if not rescored:
        return None
    weighed = [_copied(balance, findings, one, context, settings, known) for one in rescored]
    copies = [copy for copy in weighed if copy is not None]
    llrs = [balance.llr, *(copy.llr for copy in copies)]
    return Stability(
        llr=(min(llrs), max(llrs)),
        flips=any(copy.over != balance.over for copy in copies),
        copies=tuple(rescored),
    )


def _copied(
    balance: Balance,
    findings: Sequence[Evidence],
    one: Rescored,
    context: Context,
    settings: Settings,
    known: Calibration,
) -> Balance | None:
    """The balance with one copy's scores in place, under its own size and quality; None where no map holds for those."""
    theirs = replace(context, size_px=one.size_px, quality=one.quality)
    versions = {e.detector: e.version for e in findings}
    weighed = []
    for w in balance.weighed:
        if w.detector not in one.scores or w.score is None:
            weighed.append(w)
            continue
        score = one.scores[w.detector]
        llr = None if score is None else known.llr_of_score(w.detector, versions[w.detector], score, theirs)
        if score is not None and llr is None:
            return None
        weighed.append(replace(w, score=llr))
    panel = [w.detector for w in weighed if w.score is not None]
    threshold = known.threshold(theirs, panel, settings.false_alarm_budget) or balance.threshold
    return summed(weighed, threshold, context.media_family, known)
