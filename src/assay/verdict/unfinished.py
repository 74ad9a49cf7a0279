"""What is said of a sample that could not be decoded, but whose surroundings of the pixels were read."""

from __future__ import annotations

from dataclasses import replace

from assay.types import Label, Outcome, Screening, Verdict, Why
from assay.verdict.explain import explain_problem

CREDENTIALS = "content_credentials"


def telling(verdict: Verdict) -> bool:
    """Did what was read say something that must not be lost with the pixels?"""
    credentials = any(
        e.detector == CREDENTIALS and e.finding.outcome is Outcome.SCORED for e in verdict.evidence
    )
    return credentials or bool(verdict.kinds) or any(e.llr for e in verdict.evidence)


def unfinished(screening: Screening, verdict: Verdict) -> Screening:
    """Give a screening that failed the evidence that was found before, and say that it is no verdict on the whole.

    Parameters
    ----------
    screening
        With an error and without a verdict.
    verdict
        From what was read before the trouble; not fake. One that tells nothing is left out.
    """
    if screening.error is None or not telling(verdict):
        return screening
    if verdict.kinds or verdict.llr >= 1:
        before = f"What was read before says: {verdict.summary}"
    else:
        before = "What stands around the pixels was read: see the evidence."
    summary = f"{explain_problem(screening.error, screening.status)} {before}"
    kept = replace(verdict, label=Label.INCONCLUSIVE, why=Why.FAILED, summary=summary)
    return replace(screening, verdict=kept)
