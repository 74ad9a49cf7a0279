from __future__ import annotations

from datetime import UTC, datetime

import pytest

from assay.store.database import Database
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

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path):
    with Database(tmp_path / "assay.db") as db:
        yield db


@pytest.fixture
def screening():
    def make(name="a.jpg", content=b"a", *, at=NOON, label=Label.FAKE, source="", children=(), **sample):
        finding = Finding(Outcome.SCORED, 2.5, (Reason("grid_shifted", "The grid is shifted."),))
        verdict = Verdict(
            label=label,
            why=None,
            summary="Found.",
            llr=4.0,
            threshold=2.0,
            probability=0.98,
            prior=0.5,
            kinds=(),
            disclosed=None,
            evidence=(Evidence("jpeg_grid", 1, "jpeg", finding, 4.0),),
            coverage=Coverage(),
            calibration="c1",
        )
        digest = sha256_of(content)
        return Screening(
            sample=Sample(f"id-{name}", digest, len(content), "image/jpeg", source=source, **sample),
            path=name,
            status=Status.SCREENED,
            screened_at=at,
            assay_version="0.1",
            verdict=verdict,
            decision=Decision(Action.QUARANTINE, "undisclosed", "p1"),
            children=children,
        )

    return make


@pytest.fixture
def encode():
    """Describe a screening as the JSON contract does, as far as the store looks at it."""

    def described(s):
        v = s.verdict
        return {
            "id": s.sample.id,
            "sha256": s.sample.sha256,
            "path": s.path.encode("utf-8", "replace").decode(),
            "media_type": s.sample.media_type,
            "status": str(s.status),
            "label": str(v.label),
            "llr": v.llr,
            "action": str(s.decision.action),
            "assay_version": s.assay_version,
            "calibration": v.calibration,
            "policy_digest": s.decision.policy_digest,
            "quarantine_id": s.quarantine_id,
            "evidence": [
                {
                    "detector": e.detector,
                    "version": e.version,
                    "family": e.family,
                    "outcome": str(e.finding.outcome),
                    "score": e.finding.score,
                    "llr": e.llr,
                    "reasons": [{"code": r.code, "text": r.text} for r in e.finding.reasons],
                }
                for e in v.evidence
            ],
        }

    return described
