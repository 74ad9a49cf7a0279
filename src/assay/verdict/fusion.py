"""From findings to one verdict: weigh each, cap each family, mix the kinds, compare with the group's threshold.

Assumed, and only roughly true: families are independent given the kind of fake; within a family nothing is, so its sum
is cut to a cap. Three sums are kept apart. *Measured*: scores with a calibration, alone compared with the group's
threshold, since that was set on such sums. *Stated*: reasons weighed by table. *Forgeable*: the part of the latter
that anyone can write into anybody's file; it never clears a sample, never counts beside a trusted credential, and
makes a fake only where the medium declares itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from assay.settings import Settings
from assay.types import Evidence, Kind, Label, Outcome, Rescored, Stability, Verdict, Why
from assay.verdict import calibration as tables
from assay.verdict import coverage, explain, stability
from assay.verdict.balance import Balance, score_llr, weigh
from assay.verdict.calibration import Calibration, Context

DECISIVE = 4.6  # nats, 100 to 1: what decisive evidence must come to, for fake and for bona fide
CONFLICT = 2.3  # nats, 10 to 1: two sides at least this strong conflict
CLEARLY = 2.3  # nats, 10 to 1: a kind that lags so far behind another is not named
LOCAL = frozenset({Kind.INPAINTING, Kind.SPLICE, Kind.COPY_MOVE})  # of a part
TROUBLE = (Outcome.FAILED, Outcome.TIMED_OUT)


def fuse(
    findings: Sequence[Evidence],
    *,
    context: Context,
    settings: Settings,
    rescored: Sequence[Rescored] = (),
    calibration: Calibration | None = None,
) -> Verdict:
    """Weigh the findings of one sample and decide.

    Parameters
    ----------
    findings
        As recorded, `llr` None. Several of one detector (stills of one animation) count once, by their mean.
    context
        Media family, size, quality, and what each detector claims.
    settings
        Prior, false-alarm budget, the operator's own weights.
    rescored
        Scores of re-encoded copies, where the decision is near its threshold (`stability.carrying`).
    calibration
        Instead of the one that ships.

    Returns
    -------
    verdict : Verdict
        `llr` is finite. A fake has ``llr >= threshold`` and ``probability >= 0.5``.
    """
    known = calibration or tables.shipped(settings.reasons, settings.paths.calibration)
    balance = weigh(findings, context, settings, known)
    probability = posterior(balance.llr, settings.prior)
    steady = stability.measure(balance, findings, rescored, context, settings, known)
    label, why, limit = _decide(balance, probability, findings, steady)
    kinds = _kinds(balance, label, context, known)
    panel = [w.detector for w in balance.weighed if w.score is not None]
    group, void = known.group(context, panel), coverage.void_maps(findings, context, known)
    verdict = Verdict(
        label=label,
        why=why,
        summary="",
        llr=balance.llr,
        threshold=limit,
        probability=probability,
        prior=settings.prior,
        kinds=kinds,
        disclosed=_disclosed(balance, label, findings),
        evidence=_recorded(findings, balance, context, known),
        coverage=coverage.measure(findings, context, panel, group, balance.threshold, kinds, void),
        calibration=known.version,
        stability=steady,
    )
    told = [(r, w) for one in balance.weighed for r, w in one.reasons]
    recalls = coverage.recall_by_kind(group, balance.threshold, coverage.claimed(context, panel))
    budget = settings.false_alarm_budget
    lack = None if balance.threshold else coverage.lack(context, panel, void, budget, known)
    summary = explain.summarise(verdict, told, recalls, context, balance.threshold, settings, lack)
    return replace(verdict, summary=summary)


def posterior(llr: float, prior: float) -> float:
    """Turn `llr` (nats) and a prior into a probability, Bayes' rule in log-odds."""
    odds = llr + math.log(prior / (1 - prior))
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))


def _decide(
    balance: Balance, probability: float, findings: Sequence[Evidence], steady: Stability | None
) -> tuple[Label, Why | None, float | None]:
    """Return label, why and the threshold that the label was decided by."""
    limit = balance.threshold.value if balance.threshold else None
    declared = balance.decisive and balance.llr >= DECISIVE
    shown = balance.over and not balance.trusted and limit is not None and balance.llr >= limit
    flips = steady is not None and steady.flips
    if (declared or (shown and not flips)) and probability >= 0.5:
        return Label.FAKE, None, limit if shown else DECISIVE
    if balance.trusted and balance.llr <= -DECISIVE and not balance.over and probability < 0.5:
        return Label.BONA_FIDE, None, limit
    return Label.INCONCLUSIVE, _why(balance, findings, flips=flips), limit


def _why(balance: Balance, findings: Sequence[Evidence], *, flips: bool) -> Why:
    sides = (balance.measured or 0.0, *balance.stated)
    above = math.fsum(x for x in sides if x > 0)
    below = math.fsum(x for x in sides if x < 0)
    torn = balance.torn >= CONFLICT or (above >= CONFLICT and below <= -CONFLICT)
    if torn or (balance.trusted and (balance.over or balance.decisive)):
        return Why.CONFLICTING
    if balance.measured is None and any(e.finding.outcome in TROUBLE for e in findings):
        return Why.FAILED
    if balance.threshold is None:
        return Why.NOT_COVERED
    if flips:
        return Why.UNSTABLE
    flagged = any(Kind.TAMPERED_CREDENTIAL in w.kinds for one in balance.weighed for _, w in one.reasons)
    return (
        Why.TOO_LITTLE if balance.llr >= explain.NOTABLE or flagged or balance.decisive else Why.NOTHING_FOUND
    )


def _kinds(balance: Balance, label: Label, context: Context, known: Calibration) -> tuple[Kind, ...]:
    """Collect what was done, from the evidence that carried the verdict; of other verdicts, what the medium states.

    A trace that several kinds leave names them all, but for those for which all detectors together say `CLEARLY` less.

    A picture in which some part was found to differ is not said to be made entirely by a machine, unless it declares so:
    scores of the whole rise with such a part, too.
    """
    if label is Label.BONA_FIDE:
        return ()
    stated: set[Kind] = set()
    scored: set[Kind] = set()
    for one in balance.weighed:
        by_table = {k for _, w in one.reasons if w.llr > 0 for k in w.kinds}
        if label is not Label.FAKE:
            declared = {k for _, w in one.reasons if w.disclosed and w.llr > 0 for k in w.kinds}
            by_table &= {Kind.TAMPERED_CREDENTIAL} | declared
        elif (one.score or 0.0) > 0 and balance.over:
            # A detector whose reasons the table knows names kinds by them: one that saw nothing may still tip a sum.
            noted = {k for _, w in one.reasons for k in w.kinds}
            scored |= noted if one.reasons else context.claims.get(one.detector, frozenset())
        stated |= by_table
    if scored & LOCAL:
        scored.discard(Kind.FULL_SYNTHESIS)
    likely = _likely(scored, balance, context, known)
    return tuple(k for k in Kind if k in stated | likely)


def _likely(scored: set[Kind], balance: Balance, context: Context, known: Calibration) -> set[Kind]:
    said = {one.detector: one.score for one in balance.weighed if one.score is not None}
    told = tables.panel_kinds(said, context.media_family, known) if scored else {}
    most = max((told[k] for k in scored if k in told), default=0.0)
    return {k for k in scored if told.get(k, most) >= most - CLEARLY}


def _disclosed(balance: Balance, label: Label, findings: Sequence[Evidence]) -> bool | None:
    """Does the medium declare it? False only where something was found and the declarations were looked for."""
    if any(w.disclosed and w.llr > 0 for one in balance.weighed for _, w in one.reasons):
        return True
    looked = {
        e.detector for e in findings if e.finding.outcome not in TROUBLE
    }  # not applicable: it carries none
    asked = {"content_credentials", "generator_metadata"}
    return False if label is Label.FAKE and asked <= looked else None


def _recorded(
    findings: Sequence[Evidence], balance: Balance, context: Context, known: Calibration
) -> tuple[Evidence, ...]:
    """Write into each piece of evidence what it would come to had the others said neither; None where nothing weighs it."""
    by_name = {one.detector: one for one in balance.weighed}
    silent = {one.detector: 0.0 for one in balance.weighed if one.score is not None}
    recorded = []
    for e in findings:
        llr = None
        if e.finding.outcome is Outcome.SCORED:
            one, codes = by_name[e.detector], {r.code for r in e.finding.reasons}
            score = score_llr(e, context, known)
            if score is not None:
                score = tables.panel_llr(silent | {e.detector: score}, context.media_family, known)
            counted = [w.llr for r, w in one.reasons if r.code in codes]
            if score is not None or any(counted) or known.weighs_reasons(e.detector):
                ratio = known.ratio(e.detector, e.family, e.finding.score or 0.0)
                llr = math.fsum([score or 0.0, ratio, *counted])
        recorded.append(replace(e, llr=llr))
    return tuple(recorded)
