"""A container's verdict follows from its members'."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay.types import Kind, Label, Why
from assay.verdict.fusion import fuse
from assay.verdict.members import verdict_of_members, verdict_of_nothing


@pytest.fixture(scope="module")
def verdicts(known, settings, context, said):
    def judge(*findings):
        return fuse(findings, context=context, settings=settings, calibration=known)

    return {
        "nothing": judge(said("jpeg_grid", score=0.0)),
        "declared": judge(said("generator_metadata", "generator_comfyui")),
        "secret": judge(
            said("jpeg_grid", score=9.0), said("generator_metadata"), said("content_credentials")
        ),
        "own": judge(),
    }


def test_one_fake_makes_the_container_fake_and_gives_it_its_numbers(verdicts):
    v = verdict_of_members(
        verdicts["own"], [("a!x.png", verdicts["nothing"]), ("a!y.png", verdicts["declared"])]
    )
    assert (v.label, v.llr, v.kinds, v.disclosed) == (Label.FAKE, 6.9, (Kind.FULL_SYNTHESIS,), True)
    assert v.summary.startswith("One of its 2 members is fake, y.png: ")
    only = verdict_of_members(verdicts["own"], [("a!y.png", verdicts["declared"])])
    assert only.summary.startswith("Its only member is fake, y.png: ")
    both = verdict_of_members(verdicts["own"], [("a!y.png", verdicts["declared"])] * 2)
    assert both.summary.startswith("2 of its 2 members are fake; the strongest is y.png: ")


def test_a_declared_fake_does_not_cover_for_a_secret_one_beside_it(verdicts):
    both = [("a!x.png", verdicts["declared"]), ("a!y.png", verdicts["secret"])]
    assert verdict_of_members(verdicts["own"], both).disclosed is False
    unknown = replace(verdicts["secret"], disclosed=None)
    assert verdict_of_members(verdicts["own"], [both[0], ("a!z.png", unknown)]).disclosed is None


def test_without_fakes_the_reason_that_needs_most_attention_stands_for_all(verdicts):
    uncovered = replace(verdicts["nothing"], why=Why.NOT_COVERED)
    v = verdict_of_members(verdicts["own"], [("a!x", verdicts["nothing"]), ("a!y", uncovered)])
    assert (v.label, v.why) == (Label.INCONCLUSIVE, Why.NOT_COVERED)


def test_what_the_containers_own_bytes_say_stands(verdicts):
    assert verdict_of_members(verdicts["declared"], [("a!x", verdicts["nothing"])]) == verdicts["declared"]


def test_a_picture_with_further_frames_keeps_what_it_says_itself(verdicts):
    v = verdict_of_members(verdicts["nothing"], [("a!x", verdicts["nothing"])])
    assert v.why is verdicts["nothing"].why
    assert v.summary.startswith(verdicts["nothing"].summary)
    assert v.summary.endswith("none is fake.")


@pytest.mark.parametrize(
    ("members", "troubled", "why"), [(0, 0, Why.NOTHING_FOUND), (3, 0, Why.NOTHING_FOUND), (3, 1, Why.FAILED)]
)
def test_a_container_of_nothing_says_what_it_holds(verdicts, members, troubled, why):
    v = verdict_of_nothing(verdicts["own"], members, troubled)
    assert (v.label, v.why) == (Label.INCONCLUSIVE, why)
    assert "sign of manipulation" not in v.summary
