from __future__ import annotations

from assay.evidence.windows import merge
from assay.types import Finding, Outcome, Reason, Region, Segment

SILENT = Finding.not_applicable("too_dark", "The frame is too dark.")


def scored(score: float, *regions: Region) -> Finding:
    return Finding(Outcome.SCORED, score, (Reason("seam", f"A seam of {score}."),), regions)


def test_the_score_of_a_clip_is_the_mean_of_those_that_were_scored() -> None:
    merged = merge([scored(1.0), SILENT, scored(3.0)], [(0, 0), (1, 1), (2, 2)], "frame")
    assert merged.score == 2.0
    assert merged.segments == (Segment(0, 0, 1.0), Segment(2, 2, 3.0))


def test_the_strongest_part_gives_the_reason_and_its_time() -> None:
    merged = merge([scored(1.0), scored(3.0)], [(0, 0), (65, 65)], "frame")
    assert merged.reasons[0].code == "seam"
    assert "3.0" in merged.reasons[0].text
    assert "1:05.0" in merged.reasons[0].text


def test_regions_carry_the_time_of_their_frame() -> None:
    box = Region.box(0, 0, 8, 8, width=64, height=64)
    assert merge([scored(1.0, box)], [(2.5, 2.5)], "frame").regions[0].time_s == 2.5


def test_a_clip_that_no_part_of_could_be_judged_is_not_applicable() -> None:
    assert merge([SILENT, SILENT], [(0, 0), (1, 1)], "frame").outcome is Outcome.NOT_APPLICABLE


def test_a_failure_is_not_hidden_behind_parts_that_were_not_applicable() -> None:
    failed = Finding(Outcome.FAILED, reasons=(Reason("crashed", "It crashed."),))
    assert merge([SILENT, failed], [(0, 0), (1, 1)], "frame").outcome is Outcome.FAILED
