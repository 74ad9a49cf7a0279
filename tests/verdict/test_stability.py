"""A decision near its threshold, and what saved-again copies do to it."""

from __future__ import annotations

import dataclasses

import pytest

from assay.types import Label, Rescored, Why
from assay.verdict.fusion import fuse
from assay.verdict.stability import NEAR, carrying

READERS = ("jpeg_grid", "double_jpeg", "learned_image")
OVER, FAR = 6.0, 9.0  # scores: 2.25 and 3.94 nats, where the threshold is 2.0


@pytest.fixture(scope="module")
def judge(known, settings, context):
    def call(*findings, rescored=()):
        return fuse(findings, context=context, settings=settings, calibration=known, rescored=rescored)

    return call


@pytest.fixture(scope="module")
def carriers(known, settings, context):
    def call(*findings, readers=READERS):
        return carrying(findings, readers, context=context, settings=settings, calibration=known)

    return call


def copy(score: float | None, name: str = "saved again at 92") -> Rescored:
    return Rescored(name, (800, 600), 92, {"jpeg_grid": score})


def test_only_a_decision_near_its_threshold_is_scored_again(carriers, judge, said):
    assert carriers(said("jpeg_grid", score=OVER)) == ("jpeg_grid",)
    assert carriers(said("jpeg_grid", score=FAR)) == ()
    assert carriers(said("jpeg_grid", score=0.0)) == ()
    just = judge(said("jpeg_grid", score=OVER))
    assert abs(just.llr - just.threshold) <= NEAR


def test_detectors_that_read_no_pixels_or_speak_against_fake_carry_nothing(carriers, said):
    assert carriers(said("jpeg_grid", score=OVER), readers=("learned_image",)) == ()
    both = (said("jpeg_grid", score=8.0), said("learned_image", score=-1.0))
    assert carriers(*both) == ("jpeg_grid",)


def test_a_group_without_a_threshold_has_nothing_to_be_near(carriers, said):
    assert carriers(said("learned_image", score=2.0)) == ()


def test_a_fake_that_every_copy_confirms_stays_one_and_shows_its_range(judge, said):
    v = judge(said("jpeg_grid", score=OVER), rescored=[copy(5.7), copy(7.0)])
    assert (v.label, v.stability.flips) == (Label.FAKE, False)
    low, high = v.stability.llr
    assert low < v.llr < high


@pytest.mark.parametrize("score", [1.0, None])
def test_a_fake_that_a_copy_denies_is_unstable(judge, said, score):
    v = judge(said("jpeg_grid", score=OVER), rescored=[copy(7.0), copy(score)])
    assert (v.label, v.why, v.stability.flips) == (Label.INCONCLUSIVE, Why.UNSTABLE, True)
    assert "unstable" in v.summary
    assert "2 copies" in v.summary


def test_a_picture_under_the_threshold_that_a_copy_accuses_is_unstable_too(judge, said):
    below = said("jpeg_grid", score=5.0)
    assert judge(below).label is Label.INCONCLUSIVE
    assert judge(below, rescored=[copy(FAR)]).why is Why.UNSTABLE


def test_what_is_declared_needs_no_steady_pixels(judge, said):
    declared = said("generator_metadata", "generator_comfyui")
    v = judge(declared, said("jpeg_grid", score=OVER), rescored=[copy(0.0)])
    assert v.label is Label.FAKE


def test_a_copy_under_conditions_that_no_map_holds_for_says_nothing(judge, said):
    elsewhere = dataclasses.replace(copy(0.0), size_px=(80, 60))
    v = judge(said("jpeg_grid", score=OVER), rescored=[elsewhere])
    assert v.label is Label.FAKE
    assert v.stability.llr == (v.llr, v.llr)
