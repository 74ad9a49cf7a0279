"""The verdict on a container follows from the verdicts on what it carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assay.types import Label, Verdict, Why


def verdict_of_members(own: Verdict, members: Sequence[tuple[str, Verdict]]) -> Verdict:
    """Lift the strongest member's verdict to its container; the members keep their own.

    Parameters
    ----------
    own
        What the container's own bytes say.
    members
        Name and verdict of each member that has one; not empty.
    """
    name, strongest = max(members, key=lambda member: (member[1].label is Label.FAKE, member[1].llr))
    fakes = sum(v.label is Label.FAKE for _, v in members)
    if own.label is Label.FAKE or not fakes:
        if own.label is not Label.INCONCLUSIVE:
            return own
        if own.evidence:  # a picture with further frames or pages says something of its own
            return replace(own, summary=f"{own.summary} {_nothing(members)}")
        return replace(own, why=_why(members), summary=_nothing(members))
    said = {v.disclosed for _, v in members if v.label is Label.FAKE}
    kinds = tuple(dict.fromkeys(k for _, v in members if v.label is Label.FAKE for k in v.kinds))
    count = (
        f"{fakes if fakes > 1 else 'One'} of its {len(members)} members {'is' if fakes == 1 else 'are'} fake"
    )
    if len(members) == 1:
        count = "Its only member is fake"
    inside = name.rpartition("!")[2]
    return replace(
        own,
        label=Label.FAKE,
        why=None,
        llr=strongest.llr,
        threshold=strongest.threshold,
        probability=strongest.probability,
        kinds=kinds,
        disclosed=True if said == {True} else False if False in said else None,  # one secret fake is enough
        summary=f"{count}{'; the strongest is' if fakes > 1 else ','} {inside}: {strongest.summary}",
        calibration=strongest.calibration,
    )


def verdict_of_nothing(own: Verdict, members: int, troubled: int) -> Verdict:
    """Say of a container in which no member has a verdict what it holds, instead of what was not found in it.

    Parameters
    ----------
    own
        What its own bytes say: nothing.
    members, troubled
        How many it holds, and how many of them could not be examined.
    """
    if not members:
        return replace(own, why=Why.NOTHING_FOUND, summary="There are no media in it.")
    if not troubled:
        said = "There are no media in it that Assay reads: its members are of other types."
        return replace(own, why=Why.NOTHING_FOUND, summary=said)
    return replace(own, why=Why.FAILED, summary="Nothing in it could be examined: see its members.")


def _why(members: Sequence[tuple[str, Verdict]]) -> Why:
    """The reason that needs most attention stands for all."""
    order = (Why.CONFLICTING, Why.UNSTABLE, Why.FAILED, Why.NOT_COVERED, Why.TOO_LITTLE, Why.NOTHING_FOUND)
    found = {v.why for _, v in members}
    return next((w for w in order if w in found), Why.NOTHING_FOUND)


def _nothing(members: Sequence[tuple[str, Verdict]]) -> str:
    count = len(members)
    return f"{count} member{'s were' if count > 1 else ' was'} screened, each with its own verdict; none is fake."
