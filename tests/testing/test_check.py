from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from assay.evidence.detector import Card
from assay.media.views import Image
from assay.testing.check import awkward_views, check_detector, complaints
from assay.types import Finding, Kind, Outcome, Reason, Region


class Brightness:
    """A detector without a fault."""

    card: ClassVar[Card] = Card(
        name="brightness",
        version=1,
        reads=Image,
        family="test",
        claims=frozenset({Kind.RETOUCH}),
        summary="Mean brightness",
        source="nowhere",
        licence="Apache-2.0",
    )

    def examine(self, view: Image, /) -> Finding:
        return Finding(Outcome.SCORED, score=float(view.coded.mean()), reasons=(Reason("mean", "The mean."),))


def test_a_faultless_detector_passes() -> None:
    check_detector(Brightness())


def test_a_detector_without_a_card_is_told_so() -> None:
    assert "no class attribute `card`" in complaints(object())[0]


@dataclass
class Faulty(Brightness):
    answers: list[Any] = field(default_factory=list)
    calls: int = 0

    def examine(self, view: Image, /) -> Finding:
        self.calls += 1
        answer = self.answers[self.calls % len(self.answers)]
        if isinstance(answer, Exception):
            raise answer
        return answer


def finding(**changes: Any) -> Finding:
    return dataclasses.replace(
        Finding(Outcome.SCORED, score=1.0, reasons=(Reason("mean", "The mean."),)), **changes
    )


OUTSIDE = Region.box(0, 0, 9999, 5, width=176, height=160)


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ([ValueError("no")], "raised ValueError: no"),
        ([None], "returned NoneType"),
        ([finding(), finding(score=2.0)], "two answers"),
        ([finding(reasons=())], "no reason"),
        ([finding(reasons=(Reason("Not-Snake", "x"),))], "snake_case"),
        ([finding(reasons=(Reason("mean", " "),))], "no text"),
        ([finding(regions=(OUTSIDE,))], "reaches out"),
        ([finding(heat=np.zeros((600, 2), np.uint8))], "heat map"),
        ([Finding(Outcome.FAILED, reasons=(Reason("mean", "x"),))], "only the runner may"),
    ],
)
def test_each_fault_is_named(answers: list[Any], complaint: str) -> None:
    assert any(complaint in text for text in complaints(Faulty(answers)))


def test_writing_into_a_view_is_a_fault() -> None:
    class Writer(Brightness):
        def examine(self, view: Image, /) -> Finding:
            view.coded[0, 0] = 1
            return super().examine(view)

    with pytest.raises(AssertionError, match="read-only"):
        check_detector(Writer())


def test_all_complaints_come_at_once() -> None:
    with pytest.raises(AssertionError) as caught:
        check_detector(Faulty([finding(reasons=())]))
    assert len(str(caught.value).splitlines()) > 10


def test_awkward_arrays_are_read_only() -> None:
    assert not any(v.coded.flags.writeable for v in awkward_views().values() if isinstance(v, Image))
