from __future__ import annotations

from datetime import UTC, datetime

import pytest

from assay.store.database import Database
from screenings import screened

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path):
    with Database(tmp_path / "assay.db") as db:
        yield db


@pytest.fixture
def screening():
    def make(name="a.jpg", content=b"a", *, at=NOON, **more):
        return screened(name, content, at=at, id=f"id-{name}", **more)

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
