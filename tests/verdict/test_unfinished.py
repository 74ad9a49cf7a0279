"""What was read before a sample broke off is kept, and does not pass for a verdict."""

from __future__ import annotations

import pytest

from assay.types import Kind, Label, Problem, Status, Why
from assay.verdict.fusion import fuse
from assay.verdict.unfinished import telling, unfinished

CUT = Problem("undecodable", "no picture can be read from it", "ask for the complete file")


@pytest.fixture
def judge(known, settings, context):
    return lambda *findings: fuse(findings, context=context, settings=settings, calibration=known)


def test_a_credential_that_was_read_is_worth_telling(judge, said):
    assert telling(judge(said("content_credentials", "credential_valid_untrusted")))


def test_nothing_that_counts_is_not_worth_telling(judge):
    assert not telling(judge())


def test_the_verdict_says_what_failed_and_what_to_do_and_keeps_its_evidence(judge, said):
    before = judge(said("content_credentials", "credential_valid_untrusted"))
    after = unfinished(before, CUT, Status.FAILED)
    assert (after.label, after.why, after.evidence) == (Label.INCONCLUSIVE, Why.FAILED, before.evidence)
    assert after.summary.startswith("Could not be examined: no picture can be read from it. Ask for")
    assert "see the evidence" in after.summary


def test_what_the_medium_declared_is_said(judge, said):
    before = judge(said("content_credentials", "credential_changed_after_signing"))
    after = unfinished(before, CUT, Status.FAILED)
    if Kind.TAMPERED_CREDENTIAL in before.kinds:
        assert before.summary in after.summary
