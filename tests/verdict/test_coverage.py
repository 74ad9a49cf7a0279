"""What was looked at, and what was not."""

from __future__ import annotations

import dataclasses

import pytest

from assay.types import Kind
from assay.verdict.calibration import Context, Void
from assay.verdict.conformal import wilson
from assay.verdict.coverage import PLAUSIBLE, WORDS, Lack, lack, measure, void_maps


def test_every_kind_has_words():
    assert set(WORDS) == set(Kind)
    assert all(set(kinds) <= set(Kind) for kinds in PLAUSIBLE.values())


def test_kinds_that_no_speaking_detector_claims_are_blind_spots(said, context):
    c = measure([said("jpeg_grid", score=1.0)], context, ["jpeg_grid"], None, None, ())
    assert c.examined == ("jpeg_grid",)
    assert WORDS[Kind.SPLICE] not in c.blind_spots
    assert WORDS[Kind.FULL_SYNTHESIS] in c.blind_spots, "learned_image claims it, but did not speak"
    assert (c.recall, c.n) == (None, 0)


def test_recall_is_that_of_the_verdicts_kind_or_of_the_worst(known, context, said):
    group = dataclasses.replace(
        known.group(context, ["jpeg_grid"]),
        fakes={Kind.SPLICE: (-1.0, 4.0) * 10, Kind.INPAINTING: (-1.0,) * 30, Kind.COPY_MOVE: (4.0,) * 5},
    )
    threshold = known.threshold(context, ["jpeg_grid"], 0.01)
    e = [said("jpeg_grid", score=1.0)]
    claims = {"jpeg_grid": frozenset(Kind), "learned_image": frozenset()}
    context = dataclasses.replace(context, claims=claims)
    assert measure(e, context, ["jpeg_grid"], group, threshold, (Kind.SPLICE,)).recall == pytest.approx(
        wilson(10, 20)
    )
    assert measure(e, context, ["jpeg_grid"], group, threshold, ()).recall == pytest.approx(wilson(0, 30))
    assert measure(e, context, ["jpeg_grid"], group, None, ()).recall is None
    assert measure(e, context, ["jpeg_grid"], group, threshold, (Kind.COPY_MOVE,)).n == 30, (
        "five sources say nothing of a kind"
    )


def test_broken_detectors_and_unread_parts_are_named(broke, context):
    c = measure(
        [broke("jpeg_grid")],
        dataclasses.replace(context, unread=("sound after 4:00:00",)),
        (),
        None,
        None,
        (),
    )
    assert c.examined == ()
    assert c.blind_spots[-2:] == ("jpeg_grid failed", "sound after 4:00:00")


def test_who_only_reads_metadata_has_looked_for_nothing(said):
    context = Context(media_family="audio", claims={"generator_metadata": frozenset(Kind)})
    c = measure([said("generator_metadata")], context, (), None, None, ())
    assert c.examined == ("generator_metadata",)
    assert WORDS[Kind.SPEECH_SYNTHESIS] in c.blind_spots


def test_a_detector_whose_calibration_is_void_is_a_blind_spot(known, context, said, broke):
    findings = [
        said("learned_image", score=3.0, version=2),
        said("learned_image", score=2.0, version=2),  # of another still
        said("jpeg_grid", score=1.0),
        said("generator_metadata"),
        broke("double_jpeg"),
    ]
    void = void_maps(findings, context, known)
    assert void == (Void("learned_image", 1, 2),)
    c = measure(findings, context, ["jpeg_grid"], None, None, (), void)
    assert c.blind_spots[-2:] == (
        "learned_image (its calibration is of version 1, it is version 2)",
        "double_jpeg failed",
    )


def test_whose_map_would_hold_under_no_version_is_no_void_calibration(known, context, said, broke):
    small = dataclasses.replace(context, size_px=(100, 100))
    assert void_maps([said("learned_image", score=3.0, version=2)], small, known) == ()
    failed = dataclasses.replace(broke("learned_image"), version=2)
    assert void_maps([failed], context, known) == ()


VOID = Void("jpeg_grid", 1, 2)


@pytest.mark.parametrize(
    ("panel", "void", "budget", "expected"),
    [
        ([], (), 0.01, Lack((), None)),
        (["double_jpeg"], (), 0.01, Lack((), 50)),
        ([], (VOID,), 0.01, Lack((VOID,), 100)),
        ([], (VOID,), 0.001, Lack((VOID,), 100)),
        (["double_jpeg"], (VOID,), 0.01, Lack((VOID,), 100)),
        (["double_jpeg"], (VOID,), 0.001, Lack((), 50)),
    ],
)
def test_a_threshold_is_lacking_for_a_reason(known, context, panel, void, budget, expected):
    assert lack(context, panel, void, budget, known) == expected


def test_where_nothing_was_calibrated_there_are_no_sources(known, context):
    bare = dataclasses.replace(known, pools={})
    assert lack(context, ["jpeg_grid"], (), 0.01, bare) == Lack((), 0)
