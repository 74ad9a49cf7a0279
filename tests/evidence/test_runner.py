"""Whatever a detector does, its finding says so."""

from __future__ import annotations

import pytest

from assay.errors import Failed
from assay.evidence.runner import run
from assay.types import Finding, Outcome, Reason

FINE = Finding(Outcome.SCORED, 0.5, (Reason("seen", "something was seen"),))


class Detector:
    """Answers or raises what it is given."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def examine(self, view: object) -> object:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_a_finding_is_handed_on_as_it_is() -> None:
    finding, elapsed_s = run(Detector(FINE), None)
    assert finding is FINE
    assert elapsed_s >= 0


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (None, "no_finding", "NoneType, not a Finding"),
        (0.7, "no_finding", "float"),
        (Finding(Outcome.SCORED, 0.5), "no_reason", "no reason"),
        (RuntimeError("boom"), "crashed", "RuntimeError: boom (examine, line"),
        (MemoryError(), "crashed", "MemoryError"),
        (RecursionError(), "crashed", "RecursionError"),
        (Failed("too flat", code="flat"), "flat", "too flat"),
    ],
)
def test_anything_else_becomes_a_failed_finding_that_says_why(answer: object, code: str, words: str) -> None:
    finding, _ = run(Detector(answer), None)
    assert (finding.outcome, finding.reasons[0].code) == (Outcome.FAILED, code)
    assert words in finding.reasons[0].text


def test_an_endless_message_is_cut() -> None:
    finding, _ = run(Detector(ValueError("x" * 10_000)), None)
    assert len(finding.reasons[0].text) < 400


@pytest.mark.parametrize("wish", [KeyboardInterrupt(), SystemExit(3)])
def test_wishes_to_end_are_not_taken_for_crashes(wish: BaseException) -> None:
    with pytest.raises(type(wish)):
        run(Detector(wish), None)
