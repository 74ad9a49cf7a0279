"""Examine a picture, and its later frames and pages as samples of their own."""

from __future__ import annotations

from assay.case import context_of
from assay.errors import SampleError
from assay.examination.members import ScreenMember, examine_members
from assay.examination.opened import Opened, only
from assay.media.decoder import Packed
from assay.rescoring import rescore
from assay.verdict import stability


def examine_picture(opened: Opened, screen: ScreenMember) -> None:
    """Look the picture up among what is known, then ask the detectors; a known fake needs no detector."""
    case = opened.case
    with opened.worker.pixels() as first:
        case.note(first)
        case.tracer.picture(first)
        if case.tracer.is_decided:
            return
        packed = opened.worker.completed(first)
        case.warnings += [str(w) for w in packed.answer["warnings"]]
        more = int(packed.answer["frames"]) > 1
        names = opened.readers("Image")
        opened.collect(opened.examine(packed, names), only)
        _rescore(opened, packed, names)
    if more and case.depth < opened.settings.limits.depth:
        try:
            examine_members(opened, screen)
        except SampleError as e:  # the picture itself was examined
            case.leave_out("later frames or pages", e)


def _rescore(opened: Opened, packed: Packed, readers: tuple[str, ...]) -> None:
    """Ask whether a decision near its threshold would survive being saved again."""
    case, seconds = opened.case, opened.settings.limits.stability_s
    context = context_of(case, opened.panel.members)
    names = stability.carrying(case.evidence, readers, context=context, settings=opened.settings)
    if names and seconds:
        case.rescored = rescore(opened.panel, packed, case.evidence, names, seconds)
