"""From findings to a verdict: examples, then properties."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from assay.types import Kind, Label, Outcome, Region, Segment, Why
from assay.verdict.calibration import Context, shipped
from assay.verdict.fusion import DECISIVE, fuse, posterior

CAPTURE = "credential_valid_trusted_capture"


@pytest.fixture(scope="module")
def judge(known, settings, context):
    def call(*findings, context=context, calibration=known, **changes):
        return fuse(
            findings,
            context=context,
            settings=dataclasses.replace(settings, **changes),
            calibration=calibration,
        )

    return call


def test_of_the_kinds_that_leave_a_trace_those_are_named_for_which_all_detectors_speak(judge, said, known):
    """A ghost that is missing is left by three kinds; a copy that was found, or was not, tells them apart."""
    local = frozenset({Kind.SPLICE, Kind.INPAINTING, Kind.COPY_MOVE})
    claims = {"jpeg_grid": local, "learned_image": frozenset({Kind.COPY_MOVE})}
    maps = {n: dataclasses.replace(m, claims=claims.get(n, m.claims)) for n, m in known.maps.items()}
    context = Context(media_family="image", size_px=(800, 600), claims=claims)

    def kinds(copies):
        findings = [said("jpeg_grid", score=10.0), said("learned_image", score=copies)]
        verdict = judge(*findings, context=context, calibration=dataclasses.replace(known, maps=maps))
        assert verdict.label is Label.FAKE
        return verdict.kinds

    assert kinds(3.0) == (Kind.COPY_MOVE,)
    assert set(kinds(0.0)) == local
    assert set(kinds(-3.0)) == {Kind.SPLICE, Kind.INPAINTING}


def test_nothing_at_all_is_not_covered(judge):
    v = judge()
    assert (v.label, v.why, v.llr, v.probability, v.threshold) == (
        Label.INCONCLUSIVE,
        Why.NOT_COVERED,
        0.0,
        0.5,
        None,
    )


def test_a_declared_generator_is_a_disclosed_fake(judge, said):
    v = judge(said("generator_metadata", "generator_comfyui"), said("content_credentials"))
    assert (v.label, v.kinds, v.disclosed) == (Label.FAKE, (Kind.FULL_SYNTHESIS,), True)
    assert v.threshold == DECISIVE


def test_a_declared_composite_in_which_a_splice_is_found_is_a_disclosed_fake(judge, said):
    v = judge(said("content_credentials", "credential_composite_declared"), said("jpeg_grid", score=9.0))
    assert (v.label, v.kinds, v.disclosed) == (Label.FAKE, (Kind.SPLICE,), True)


def test_a_declared_composite_alone_is_no_fake(judge, said):
    v = judge(said("content_credentials", "credential_composite_declared"))
    assert (v.label, v.kinds, v.disclosed) == (Label.INCONCLUSIVE, (Kind.SPLICE,), True)


def test_many_declarations_add_up_to_no_more_than_their_family(judge, said, known):
    many = [
        c.split(".")[1] for c, w in known.weights.items() if c.startswith("generator_metadata") and w.llr > 0
    ]
    assert judge(said("generator_metadata", *many)).llr == known.caps["metadata"]


def test_a_known_fake_is_one_whatever_else_is_said(judge, said):
    v = judge(said("known_digest", "known_fake"), said("content_credentials", CAPTURE))
    assert v.label is Label.FAKE
    assert Kind.KNOWN_FAKE in v.kinds


def test_a_known_original_is_bona_fide_and_both_at_once_conflict(judge, said):
    assert judge(said("known_digest", "known_original")).label is Label.BONA_FIDE
    v = judge(said("known_digest", "known_original", "known_fake"))
    assert (v.label, v.why) == (Label.INCONCLUSIVE, Why.CONFLICTING)


def test_a_trusted_capture_device_makes_bona_fide(judge, said):
    v = judge(said("content_credentials", CAPTURE), said("generator_metadata", "no_generator_named"))
    assert (v.label, v.why, v.kinds) == (Label.BONA_FIDE, None, ())


@pytest.mark.parametrize(
    "code", ["credential_valid_untrusted", "credential_valid_trusted_editor", "credential_remote"]
)
def test_any_other_credential_proves_nothing(judge, said, code):
    v = judge(said("content_credentials", code), said("jpeg_grid", score=2.0))
    assert (v.label, v.llr) == (Label.INCONCLUSIVE, 0.0)


def test_a_broken_hash_takes_the_credential_away_and_never_makes_a_fake(judge, said):
    v = judge(
        said("content_credentials", CAPTURE, "credential_changed_after_signing"), said("jpeg_grid", score=2.0)
    )
    assert (v.label, v.why) == (Label.INCONCLUSIVE, Why.TOO_LITTLE)
    assert v.kinds == (Kind.TAMPERED_CREDENTIAL,)
    assert "changed after its credential was signed" in v.summary


def test_measured_evidence_over_the_threshold_is_an_undisclosed_fake(judge, said):
    region = Region.box(10, 10, 50, 50, width=800, height=600)
    v = judge(
        said("jpeg_grid", "grid_foreign_region", score=9.0, regions=(region,)),
        said("generator_metadata"),
        said("content_credentials"),
    )
    assert (v.label, v.kinds, v.disclosed) == (Label.FAKE, (Kind.SPLICE,), False)
    assert v.llr >= v.threshold > 2.0
    assert v.coverage.n == 50
    assert "upper left" in v.summary


def test_the_claims_of_a_detector_stand_in_for_reasons_without_kinds(judge, said):
    assert judge(said("jpeg_grid", score=9.0)).kinds == (Kind.SPLICE,)


def test_a_detector_that_saw_nothing_names_no_kind_even_if_its_score_is_a_little_above_the_middle(
    judge, said
):
    silent = said("jpeg_grid", "grid_consistent", score=4.5)
    assert judge(silent, said("learned_image", "learned_synthetic_like", score=3.0)).kinds == (
        Kind.FULL_SYNTHESIS,
    )


def test_a_picture_with_a_foreign_part_is_not_entirely_made_by_a_machine_unless_it_says_so(judge, said):
    part, whole = said("jpeg_grid", score=9.0), said("learned_image", score=3.0)
    assert judge(part, whole).kinds == (Kind.SPLICE,)
    assert Kind.FULL_SYNTHESIS in judge(part, whole, said("generator_metadata", "generator_named")).kinds


def test_whether_a_fake_is_disclosed_is_unknown_where_nobody_looked(judge, said):
    assert judge(said("jpeg_grid", score=9.0)).disclosed is None


def test_evidence_under_the_threshold_is_too_little_and_none_is_nothing(judge, said):
    assert judge(said("jpeg_grid", score=4.5)).why is Why.TOO_LITTLE
    assert judge(said("jpeg_grid", score=0.0)).why is Why.NOTHING_FOUND


def test_the_operators_prior_can_forbid_a_fake(judge, said):
    assert judge(said("jpeg_grid", score=9.0), prior=0.001).label is Label.INCONCLUSIVE
    assert judge(said("generator_metadata", "generator_named"), prior=0.0001).label is Label.INCONCLUSIVE


def test_a_group_with_too_few_sources_is_not_covered_whatever_the_score(judge, said):
    v = judge(said("double_jpeg", score=5.0))
    assert (v.label, v.why, v.threshold) == (Label.INCONCLUSIVE, Why.NOT_COVERED, None)
    assert judge(said("double_jpeg", score=5.0), false_alarm_budget=0.02).label is Label.FAKE


def test_another_version_is_shown_and_not_counted(judge, said):
    v = judge(said("jpeg_grid", score=9.0, version=2))
    assert v.evidence[0].llr is None
    assert (v.llr, v.why) == (0.0, Why.NOT_COVERED)
    named = "jpeg_grid (its calibration is of version 1, it is version 2)"
    assert named in v.coverage.blind_spots
    assert named in v.summary


def test_a_fake_names_in_its_coverage_whose_calibration_is_void(judge, said):
    v = judge(said("jpeg_grid", score=9.0), said("learned_image", score=3.0, version=2))
    assert v.label is Label.FAKE
    assert "learned_image (its calibration is of version 1, it is version 2)" in v.coverage.blind_spots


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_verdict_made_again_from_its_own_evidence_is_the_same(judge, said, version):
    v = judge(said("jpeg_grid", score=4.0, version=version), said("learned_image", score=1.0))
    assert judge(*(dataclasses.replace(e, llr=None) for e in v.evidence)) == v


def test_a_detector_that_nobody_calibrated_is_shown_and_not_counted(judge, said):
    v = judge(said("my_detector", "odd", score=99.0))
    assert v.evidence[0].llr is None
    assert v.llr == 0.0


def test_video_frames_are_not_judged_by_the_calibration_of_pictures(judge, said):
    v = judge(said("learned_image", score=3.0), context=Context(media_family="video", size_px=(800, 600)))
    assert v.evidence[0].llr is None


def test_several_findings_of_one_detector_count_by_their_mean(judge, said):
    once = judge(said("learned_image", score=1.0))
    assert judge(*[said("learned_image", score=1.0)] * 16).llr == once.llr
    mixed = judge(said("learned_image", score=2.0), said("learned_image", score=0.0))
    assert mixed.llr == pytest.approx(once.llr)
    assert [e.llr for e in mixed.evidence] == pytest.approx([2.0, 0.0])


def test_strong_evidence_on_both_sides_conflicts(judge, said):
    v = judge(said("jpeg_grid", score=9.0), said("learned_image", score=-3.0))
    assert (v.label, v.why) == (Label.INCONCLUSIVE, Why.CONFLICTING)
    v = judge(said("jpeg_grid", score=10.0), said("content_credentials", CAPTURE))
    assert (v.label, v.why) == (Label.INCONCLUSIVE, Why.CONFLICTING)


def test_failures_alone_are_a_failure_and_beside_a_measurement_a_blind_spot(judge, said, broke):
    v = judge(broke("jpeg_grid"), broke("learned_image", Outcome.TIMED_OUT))
    assert v.why is Why.FAILED
    assert "jpeg_grid" in v.summary
    v = judge(broke("learned_image"), said("jpeg_grid", score=0.0))
    assert v.why is Why.NOTHING_FOUND
    assert "learned_image failed" in v.coverage.blind_spots


def test_an_operators_weight_moves_the_verdict(judge, said):
    ours = shipped({"container_structure.thumbnail_differs": 2.0, "generator_metadata.generator_named": 1.5})
    assert judge(said("container_structure", "thumbnail_differs"), calibration=ours).llr == 2.0
    v = judge(said("generator_metadata", "generator_named"), calibration=ours)
    assert v.label is Label.INCONCLUSIVE, "a declaration that the operator weighs down decides no more"


def test_the_findings_themselves_are_kept_as_they_came(judge, said):
    e = said("jpeg_grid", "grid_none", score=1.0, segments=(Segment(0, 1),))
    v = judge(e)
    assert e.llr is None
    assert v.evidence[0].finding is e.finding


@given(st.floats(-40, 40), st.floats(1e-6, 1 - 1e-6))
def test_a_probability_is_one(llr, prior):
    p = posterior(llr, prior)
    assert 0 <= p <= 1
    assert posterior(0.0, prior) == pytest.approx(prior)


CODES = sorted(shipped().weights)
FORGEABLE = sorted(
    c for c, w in shipped().weights.items() if w.forgeable and not c.startswith("content_credentials")
)
SCORES = st.dictionaries(
    st.sampled_from(["jpeg_grid", "jpeg_ghost", "learned_image"]), st.floats(-100, 100), max_size=3
)


def gathered(said, codes, scores):
    by_detector: dict[str, list[str]] = {d: [] for d in scores}
    for code in codes:
        detector, _, name = code.partition(".")
        by_detector.setdefault(detector, []).append(name)
    return [said(d, *sorted(names), score=scores.get(d)) for d, names in sorted(by_detector.items())]


@given(codes=st.sets(st.sampled_from(CODES)), scores=SCORES, prior=st.floats(1e-6, 1 - 1e-6))
@budget(max_examples=300, deadline=None)
def test_every_verdict_is_finite_bounded_and_consistent(judge, said, known, codes, scores, prior):
    findings = gathered(said, codes, scores)
    v = judge(*findings, prior=prior)
    assert math.isfinite(v.llr)
    assert abs(v.llr) <= sum(known.cap(f) for f in {e.family for e in findings}) + 1e-9
    assert 0 <= v.probability <= 1
    assert (v.why is None) == (v.label is not Label.INCONCLUSIVE)
    assert len(set(v.kinds)) == len(v.kinds)
    assert v.summary.endswith(".")
    assert "nan" not in v.summary
    assert all(e.llr is None or math.isfinite(e.llr) for e in v.evidence)
    if v.label is Label.FAKE:
        assert v.threshold is not None
        assert v.llr >= v.threshold
        assert v.probability >= 0.5
    if v.label is Label.BONA_FIDE:
        assert v.llr <= -DECISIVE
        assert v.probability < 0.5
        assert v.disclosed is None


@given(codes=st.sets(st.sampled_from(FORGEABLE)), scores=SCORES)
@budget(max_examples=200, deadline=None)
def test_metadata_never_moves_a_verdict_that_rests_on_a_trusted_credential(judge, said, codes, scores):
    trusted = f"content_credentials.{CAPTURE}"
    before = judge(*gathered(said, {trusted}, scores))
    after = judge(*gathered(said, {trusted, *codes}, scores))
    assert (after.label, after.why, after.llr, after.kinds, after.disclosed) == (
        before.label, before.why, before.llr, before.kinds, before.disclosed,
    )  # fmt: skip


@given(codes=st.sets(st.sampled_from(FORGEABLE)), scores=SCORES)
@budget(max_examples=200, deadline=None)
def test_metadata_alone_makes_no_fake_that_does_not_declare_itself(judge, said, codes, scores):
    bare, v = judge(*gathered(said, set(), scores)), judge(*gathered(said, codes, scores))
    if v.label is Label.FAKE and bare.label is not Label.FAKE:
        assert v.disclosed is True
    assert not (bare.label is not Label.BONA_FIDE and v.label is Label.BONA_FIDE)


@given(
    scores=SCORES.filter(len),
    codes=st.sets(st.sampled_from(CODES), max_size=3),
    more=st.floats(0, 100),
    pick=st.integers(0, 2),
)
@budget(max_examples=300, deadline=None)
def test_a_higher_score_never_speaks_for_bona_fide(judge, said, scores, codes, more, pick):
    name = sorted(scores)[pick % len(scores)]
    low = judge(*gathered(said, codes, scores))
    high = judge(*gathered(said, codes, scores | {name: scores[name] + more}))
    assert high.llr >= low.llr - 1e-9
    order = [Label.BONA_FIDE, Label.INCONCLUSIVE, Label.FAKE]
    assert order.index(high.label) >= order.index(low.label)


@given(codes=st.sets(st.sampled_from(CODES)), scores=SCORES, order=st.randoms())
@budget(max_examples=100, deadline=None)
def test_the_order_of_findings_does_not_matter(judge, said, codes, scores, order):
    findings = gathered(said, codes, scores)
    shuffled = list(findings)
    order.shuffle(shuffled)
    a, b = judge(*findings), judge(*shuffled)
    assert (a.label, a.why, a.kinds, a.disclosed, a.threshold) == (
        b.label,
        b.why,
        b.kinds,
        b.disclosed,
        b.threshold,
    )
    assert a.llr == pytest.approx(b.llr)
