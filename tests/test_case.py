from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from assay.case import Case, changed, malformed, nothing_in_it, overtaxed, quality_of, strictest, unknown_type
from assay.errors import Failed, Unsupported
from assay.ingest.admission import admit_bytes
from assay.ingest.budget import Budget
from assay.media.quality import scaled
from assay.media.views import Container
from assay.types import Action, Decision, Sample


@pytest.fixture
def case() -> Iterator[Case]:
    with admit_bytes(b"x", "a.jpg", 10) as arrival:
        yield Case(Sample("1", "0" * 64, 1, "image/jpeg"), "a.jpg", arrival, 0, Budget(1, 1))


def container(*tables: tuple[int, ...]) -> Container:
    return Container(media_type="image/jpeg", size=1, sha256="0" * 64, quantisation=tables)


def test_the_quality_is_told_by_the_first_table(case: Case) -> None:
    assert quality_of(case) is None
    case.container = container()
    assert quality_of(case) is None
    case.container = container(scaled(80), scaled(10))
    assert quality_of(case) == 80


def test_a_table_of_a_wrong_length_tells_no_quality(case: Case) -> None:
    case.container = container((1,) * 63)
    assert quality_of(case) is None


def test_a_part_that_is_left_out_is_a_warning_and_a_blind_spot(case: Case) -> None:
    case.leave_out("the sound", Failed("it holds none"))
    assert case.warnings == ["the sound could not be examined: it holds none"]
    assert case.unread == ["the sound"]


def test_troubles_of_the_machine_and_of_decoders_say_what_to_do() -> None:
    for problem in (
        overtaxed(OSError(errno.EMFILE, os.strerror(errno.EMFILE))),
        malformed(KeyError("width")),
    ):
        assert problem.hint
    assert "too many open files" in overtaxed(OSError(errno.EMFILE, os.strerror(errno.EMFILE))).message
    assert "KeyError" in malformed(KeyError("width")).message


def test_a_container_is_treated_as_its_strictest_member() -> None:
    deliver, label, hold = (Decision(a, str(a), "p") for a in (Action.DELIVER, Action.LABEL, Action.HOLD))
    assert strictest(deliver, [label, hold, deliver]) is hold
    assert strictest(hold, [label]) is hold
    assert strictest(label, []) is label


@pytest.mark.parametrize(
    ("declared", "actual", "kind", "words"),
    [
        ("image/jpeg", "application/octet-stream", Failed, "of no type that is known"),
        ("image/jpeg", "text/plain", Failed, "they are text/plain"),
        ("text/plain", "text/plain", Unsupported, "not media"),
        (None, "application/octet-stream", Unsupported, "not media"),
    ],
)
def test_a_type_that_is_not_read_is_trouble_only_where_a_medium_was_promised(
    declared: str | None, actual: str, kind: type[Exception], words: str
) -> None:
    e = unknown_type(Sample("1", "0" * 64, 1, actual, declared))
    assert type(e) is kind
    assert words in e.message
    assert e.hint


def test_every_trouble_says_what_to_do() -> None:
    assert all(e.hint for e in (changed(), nothing_in_it()))
