"""Examine what a container carries: each member is a sample of its own."""

from __future__ import annotations

from collections.abc import Callable

from assay.case import Case
from assay.errors import Refused
from assay.examination.opened import Opened
from assay.media.decoder import Member
from assay.media.identify import family_of
from assay.types import Screening

ScreenMember = Callable[[Case, Member], Screening]


def examine_members(opened: Opened, screen: ScreenMember) -> None:
    """Screen each member, and keep the screenings with the case.

    Raises
    ------
    Refused
        If it is nested deeper, or holds more, than the limits allow.
    """
    case, limits = opened.case, opened.settings.limits
    if case.depth >= limits.depth:
        raise Refused(
            f"nested deeper than {limits.depth}",
            code="over_depth",
            hint="Raise limits.depth if this is expected.",
        )
    picture = family_of(case.sample.media_type) == "image"
    for member in opened.worker.members(case.sample.media_type):
        if picture and member.problem is not None:  # no sample of its own: a part of this one
            case.leave_out(member.name, member.problem)
            continue
        case.budget.spend(len(member.data))
        case.children.append(screen(case, member))
