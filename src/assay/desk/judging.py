"""Fusion and policy of today, for findings that were stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.settings import Settings
    from assay.types import Screening, Verdict


def fusing(settings: Settings) -> Callable[[Screening], Verdict]:
    """How today's calibration weighs the findings of a stored screening."""
    from assay.evidence.registry import entries
    from assay.media.identify import family_of
    from assay.verdict.calibration import Context
    from assay.verdict.fusion import fuse

    claims = {e.card.name: e.card.claims for e in entries() if e.detector is not None}

    def fused(screening: Screening) -> Verdict:
        assert screening.verdict is not None
        context = Context(
            media_family=family_of(screening.sample.media_type),
            size_px=screening.size_px,
            quality=screening.quality,
            claims=claims,
        )
        steady = screening.verdict.stability
        return fuse(
            screening.verdict.evidence,
            context=context,
            settings=settings,
            rescored=steady.copies if steady else (),
        )

    return fused
