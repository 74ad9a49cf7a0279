"""A screening as the pipeline makes them, for tests of what comes after: one detector found something."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from assay.types import (
    Action,
    Coverage,
    Decision,
    Evidence,
    Finding,
    Label,
    Outcome,
    Reason,
    Sample,
    Screening,
    Status,
    Verdict,
    sha256_of,
)


def screened(
    path: str | os.PathLike[str] = "a.jpg",
    content: bytes = b"content",
    *,
    at: datetime | None = None,
    label: Label = Label.FAKE,
    reason: str = "The grid is shifted.",
    children: tuple[Screening, ...] = (),
    **sample: object,
) -> Screening:
    """A sample of this name and content, from which its id follows unless `sample` says another."""
    path = os.fspath(path)
    finding = Finding(Outcome.SCORED, 2.5, (Reason("grid_shifted", reason),))
    verdict = Verdict(
        label=label,
        why=None,
        summary="Its grid is shifted.",
        llr=4.0,
        threshold=2.0,
        probability=0.982,
        prior=0.5,
        kinds=(),
        disclosed=None,
        evidence=(Evidence("jpeg_grid", 1, "jpeg", finding, 4.0),),
        coverage=Coverage(("jpeg_grid",)),
        calibration="c1",
    )
    fields = {"id": sha256_of(os.fsencode(path) + content)[:32], "media_type": "image/jpeg"} | sample
    return Screening(
        sample=Sample(sha256=sha256_of(content), size=len(content), **fields),
        path=path,
        status=Status.SCREENED,
        screened_at=at or datetime.now(UTC),
        assay_version="0.1",
        verdict=verdict,
        decision=Decision(Action.QUARANTINE, "undisclosed", "p1"),
        children=children,
    )
