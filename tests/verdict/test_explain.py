"""The sentences of a verdict."""

from __future__ import annotations

import dataclasses

import pytest

from assay.types import Problem, Region, Segment, Status
from assay.verdict.calibration import Context
from assay.verdict.explain import _either, explain_problem, strength
from assay.verdict.fusion import fuse


@pytest.fixture(scope="module")
def tell(known, settings, context):
    def call(*findings, context=context, **changes):
        changed = dataclasses.replace(settings, **changes)
        return fuse(findings, context=context, settings=changed, calibration=known).summary

    return call


@pytest.mark.parametrize(
    ("llr", "word"), [(0.5, "weak"), (-1.9, "weak"), (2.0, "moderate"), (4.6, "strong"), (-9, "strong")]
)
def test_strength_has_three_words(llr, word):
    assert strength(llr) == word


def test_a_disclosed_fake_says_so_and_names_its_prior(tell, said):
    text = tell(said("generator_metadata", "generator_comfyui"))
    assert text.startswith("Strong evidence that it was made entirely by a machine, as it declares itself.")
    assert "workflow that ComfyUI writes" in text
    assert "Probability of fake 99.9 %, at a prior of 50 %." in text


def test_a_measured_fake_says_where_why_and_what_that_is_worth(tell, said):
    region = Region.box(600, 400, 100, 100, width=800, height=600)
    text = tell(said("jpeg_grid", "grid_foreign_region", score=9.0, regions=(region, region)))
    assert (
        "put together from different sources, in a region at the lower right (2 % of the picture), and 1 more"
        in text
    )
    assert "another JPEG grid" in text
    assert "n = 100" in text


def test_what_was_made_entirely_by_a_machine_has_no_place(tell, said):
    region = Region.box(600, 400, 100, 100, width=800, height=600)
    copied = said("jpeg_grid", score=3.0, regions=(region,))
    text = tell(said("generator_metadata", "generator_comfyui"), copied)
    assert text.startswith(
        "Strong evidence that it was made entirely by a machine, as it declares itself. "
    ), text


@pytest.mark.parametrize(
    ("claims", "said"),
    [([], ""), (["cut"], "cut"), (["cut", "pasted"], "cut or pasted"), (["a", "b", "c"], "a, b, or c")],
)
def test_a_trace_of_several_kinds_is_evidence_of_one_of_them(claims, said):
    assert _either(claims) == said


def test_a_known_fake_is_called_that(tell, said):
    assert tell(said("known_digest", "known_fake")).startswith("It is a known fake. ")


def test_finding_nothing_says_what_that_is_worth(tell, said):
    text = tell(said("jpeg_grid", score=0.0))
    assert text == (
        "No sign of manipulation found. "
        "Measured on pictures of this size, this panel finds 60 % [48-71] of splices (n = 50). "
        "Not looked for or not seen: fully synthetic media, filled-in regions, copies moved within the picture, "
        "retouching and swapped faces."
    )


def test_traces_of_a_decoder_are_stated_though_they_make_no_fake(tell, said):
    text = tell(said("decoder_residual", "decoder_traces", score=3.0))
    assert text.startswith(
        "Its fine detail is like that of a learned decoder, as enhancers of pictures leave it. "
        "No other sign of manipulation found. "
    )


def test_a_trace_that_weighs_too_little_is_named_with_what_came_of_it(tell, said):
    text = tell(said("jpeg_grid", "grid_foreign_region", score=3.0))
    assert text.startswith(
        "A region lies on another JPEG grid than the rest: pasted, or moved within the picture. "
        "That weighs too little to call it manipulated. No other sign of manipulation found. "
    ), text


def test_all_traces_are_named_before_it_is_said_that_there_is_no_other(tell, said):
    text = tell(
        said("decoder_residual", "decoder_traces", score=3.0),
        said("jpeg_grid", "grid_foreign_region", score=2.5),
        said("learned_image", "learned_synthetic_like", score=0.3),
    )
    first, last = text.index("as enhancers of pictures leave it. "), text.index("No other sign")
    assert first < text.index("A region lies on another JPEG grid") < last
    assert first < text.index("It resembles pictures that generators") < last


def test_evidence_that_no_reason_carries_says_that_it_is_a_sum_where_it_is_one(tell, said):
    words = "No single trace stands out: several weak ones add up."
    sum_of_two = tell(said("jpeg_grid", score=3.5), said("learned_image", score=0.4))
    assert f"too little to call it a fake. {words} Probab" in sum_of_two
    assert words not in tell(said("jpeg_grid", score=4.5))


def test_finding_nothing_uncovered_says_what_was_not_asked(tell, said):
    text = tell(said("double_jpeg", score=0.0))
    assert (
        "No sign of manipulation found. There is no threshold for pictures with a short side of 256 to 1023 pixels"
        in text
    )
    assert (
        ", since a false-alarm budget of 1 % needs 99 bona fide sources and the calibration has 50 to compare with: "
        "only a declared or known fake would have been called one. How many" in text
    )


UNCOVERED = "No sign of manipulation found. There is no threshold for pictures with a short side of 256 to 1023 pixels, since "


def test_where_a_void_calibration_is_why_nothing_is_covered_it_is_named_with_how_to_mend_it(tell, said):
    text = tell(said("learned_image", score=3.0, version=2))
    assert text.startswith(
        f"{UNCOVERED}the calibration is void for learned_image (made for another version): "
        "only a declared or known fake would have been called one. "
        "To mend that, calibrate anew with `assay bench calibrate` (docs/calibrate.md). "
    )
    assert text.endswith(" and learned_image (its calibration is of version 1, it is version 2).")
    assert "sources" not in text, "there are enough of them"


def test_several_void_detectors_are_named_and_too_few_sources_beside_them(tell, said):
    findings = [said(name, score=3.0, version=2) for name in ("jpeg_grid", "double_jpeg")]
    text = tell(*findings)
    assert text.startswith(
        f"{UNCOVERED}the calibration is void for jpeg_grid and double_jpeg (made for other versions): "
    )
    text = tell(*findings, false_alarm_budget=0.001)
    assert (
        "(made for other versions), and since a false-alarm budget of 0.1 % needs 999 bona fide sources and the "
        "calibration has 100 to compare with: only" in text
    )


def test_a_score_older_than_its_calibration_can_be_made_again(tell, said):
    assert "To mend that, screen it again with the calibrated version, or calibrate anew with " in tell(
        said("learned_image", score=3.0, version=0)
    )


def test_a_void_calibration_is_a_blind_spot_of_what_others_cover(tell, said):
    text = tell(said("jpeg_grid", score=0.0), said("learned_image", score=3.0, version=2))
    assert "There is no threshold" not in text
    assert text.endswith(
        "retouching, swapped faces and learned_image (its calibration is of version 1, it is version 2)."
    )


def test_where_one_failed_and_the_other_is_void_both_are_told(tell, said, broke):
    text = tell(broke("jpeg_grid"), said("learned_image", score=3.0, version=2))
    assert text.startswith(
        "No verdict can be given: jpeg_grid failed on it, and no measured detector spoke. "
        "The calibration is void for learned_image (made for another version). To mend that, calibrate anew "
    )


def test_where_nobody_calibrated_spoke_no_sources_are_asked_for(tell, said):
    end = ": only a declared or known fake would have been called one. How many"
    text = tell(said("my_detector", score=3.0))
    assert f"{UNCOVERED}no detector that is calibrated for such pictures spoke{end}" in text
    text = tell(said("learned_image", score=3.0), context=Context(media_family="video", size_px=(800, 600)))
    assert f"for videos, since no detector that is calibrated for such videos spoke{end}" in text
    assert "void" not in text


def test_sound_is_given_its_times(tell, said):
    segment = Segment(61.0, 75.5)
    text = tell(
        said("generator_metadata", "generator_named", segments=(segment,)),
        context=Context(media_family="audio"),
    )
    assert "from 1:01.0 to 1:15.5" in text


def test_a_sample_never_speaks_in_its_own_verdict(tell, said):
    text = tell(said("generator_metadata", "generator_named"))
    assert "in the detector's words" not in text


def test_a_bona_fide_sample_says_by_what(tell, said):
    text = tell(said("content_credentials", "credential_valid_trusted_capture"))
    assert text.startswith("Strong evidence that it is bona fide. A valid credential of a capture device")


def test_a_conflict_names_both_sides(tell, said):
    text = tell(
        said("jpeg_grid", "grid_foreign_region", score=9.9),
        said("content_credentials", "credential_valid_trusted_capture"),
    )
    assert text.startswith("The evidence conflicts. For fake: A region lies on another JPEG grid")
    assert "Against: A valid credential" in text


@pytest.mark.parametrize("status", [Status.REFUSED, Status.UNSUPPORTED, Status.FAILED])
def test_a_problem_is_told_in_sentences_with_what_to_do(status):
    text = explain_problem(
        Problem("over_pixels", "the picture has 900 megapixels", "raise limits.pixels"), status
    )
    assert text.endswith(": the picture has 900 megapixels. Raise limits.pixels.")
    assert text.startswith(("Not examined", "Could not be examined"))
    assert explain_problem(Problem("x", "it broke."), status).endswith(": it broke.")


def test_a_broken_credential_is_named_before_anything_else(tell, said):
    codes = ("credential_composite_declared", "credential_ingredient_invalid")
    text = tell(said("content_credentials", *codes), said("jpeg_grid", score=0.0))
    assert text.startswith(
        "The credential of something that went into it is broken. That alone does not make it a fake. "
        "Nothing else of weight was found."
    )
    beside = said("jpeg_grid", "grid_foreign_region", score=4.5)
    text = tell(said("content_credentials", "credential_changed_after_signing"), beside)
    assert (
        "There is weak evidence beside it, too little to call it one. A region lies on another JPEG grid"
        in text
    )


def test_the_strongest_reason_is_told_be_it_of_the_table_or_of_a_score(tell, said):
    weak = said("content_credentials", "credential_composite_declared")
    assert "A region lies on another JPEG grid" in tell(
        weak, said("jpeg_grid", "grid_foreign_region", score=9.0)
    )
