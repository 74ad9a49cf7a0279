from __future__ import annotations

import pytest

from assay.signatures.digests import known
from assay.types import Outcome

DIGEST = "ab" * 32


def test_a_digest_that_nobody_recorded_is_no_evidence() -> None:
    assert known(DIGEST, lambda _: None) is None


@pytest.mark.parametrize(("code", "score"), [("known_fake", 1.0), ("known_original", 0.0)])
def test_a_recorded_digest_is_evidence_without_a_weight(code: str, score: float) -> None:
    asked: list[str] = []

    def lookup(digest: str) -> str:
        asked.append(digest)
        return code

    evidence = known(DIGEST.upper(), lookup)
    assert asked == [DIGEST]
    assert evidence is not None
    assert (evidence.detector, evidence.family, evidence.llr) == ("known_digest", "records", None)
    assert evidence.finding.outcome is Outcome.SCORED
    assert evidence.finding.score == score
    assert [r.code for r in evidence.finding.reasons] == [code]


def test_who_recorded_it_is_told() -> None:
    evidence = known(DIGEST, lambda _: "known_fake: the election desk")
    assert evidence is not None
    assert "the election desk" in evidence.finding.reasons[0].text


@pytest.mark.parametrize("digest", ["", "ab", "zz" * 32, "ab" * 33])
def test_what_is_no_digest_is_refused(digest: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        known(digest, lambda _: None)


def test_another_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="known_fake or known_original"):
        known(DIGEST, lambda _: "probably")
