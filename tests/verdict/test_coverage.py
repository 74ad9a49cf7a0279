"""What was looked at, and what was not."""

from __future__ import annotations

import dataclasses

import pytest

from assay.types import Kind
from assay.verdict.calibration import Context
from assay.verdict.conformal import wilson
from assay.verdict.coverage import PLAUSIBLE, WORDS, measure


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
