"""What was read before a sample broke off is kept, and does not pass for a verdict."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from assay.types import Kind, Label, Problem, Sample, Screening, Status, Why
from assay.verdict.fusion import fuse
from assay.verdict.unfinished import telling, unfinished

CUT = Screening(
    sample=Sample("1", "0" * 64, 1, "image/jpeg"),
    path="a.jpg",
    status=Status.FAILED,
    screened_at=datetime(2026, 1, 1, tzinfo=UTC),
    assay_version="0",
    error=Problem("undecodable", "no picture can be read from it", "ask for the complete file"),
)


@pytest.fixture
def judge(known, settings, context):
    return lambda *findings: fuse(findings, context=context, settings=settings, calibration=known)


def test_nothing_that_counts_is_not_told(judge):
    assert not telling(judge())
    assert unfinished(CUT, judge()) is CUT


def test_a_credential_that_was_read_is_kept_beside_what_failed_and_what_to_do(judge, said):
    before = judge(said("content_credentials", "credential_valid_untrusted"))
    kept = unfinished(CUT, before)
    assert (kept.status, kept.error) == (CUT.status, CUT.error)
    assert kept.verdict is not None
    after = kept.verdict
    assert (after.label, after.why, after.evidence) == (Label.INCONCLUSIVE, Why.FAILED, before.evidence)
    assert after.summary.startswith("Could not be examined: no picture can be read from it. Ask for")
    assert "see the evidence" in after.summary


def test_what_the_medium_shows_of_itself_is_said(judge, said):
    before = judge(said("content_credentials", "credential_changed_after_signing"))
    assert before.kinds == (Kind.TAMPERED_CREDENTIAL,)
    assert before.summary in unfinished(CUT, before).verdict.summary
