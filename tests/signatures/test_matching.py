"""What a library answers, and what of it becomes evidence."""

from __future__ import annotations

import numpy as np
import pytest

from assay.signatures import likelihood, matching, testfile
from assay.signatures.entries import Digest, PictureCode, Signature
from assay.signatures.library import Known, Library
from assay.signatures.pdq import pixels_print
from assay.signatures.prints import PICTURE, restored, stored
from assay.signatures.references import boxed, reference_of
from assay.signatures.video import VideoPrint
from assay.testing.images import scene
from assay.types import Kind, sha256_of

PIXELS = scene(320, 240, seed=4, grain=1.0)
PRINT = pixels_print(PIXELS)
BOX = boxed(40, 40, 120, 110, width=320, height=240)


def entry(name="x", about="known_fake", *, crops=False, state="active", kinds=(Kind.SPLICE,)) -> Known:
    regions = [BOX] if about == "known_fake" and kinds == (Kind.SPLICE,) else []
    reference = reference_of(PIXELS, regions) if crops else None
    code = PictureCode(PRINT.code, PRINT.quality)
    return Known("local", Signature(name, about, code, kinds, reference=reference), state)


def codes(matched) -> list[str]:
    return [r.code for r in matched.evidence.finding.reasons]


def test_a_match_without_pictures_counts_ten_to_one_at_most() -> None:
    matched = matching.of_picture(Library([entry()]), PRINT, PIXELS)
    assert codes(matched) == ["near_fake_unchecked"]
    assert matched.evidence.finding.score == matching.UNCOMPARED
    assert matched.signatures == (("local", "x"),)


def test_a_match_whose_crops_agree_counts_its_whole_ratio() -> None:
    matched = matching.of_picture(Library([entry(crops=True)]), PRINT, PIXELS)
    assert codes(matched) == ["shows_known_fake"]
    assert matched.evidence.finding.score == pytest.approx(likelihood.llr(0, searched=1))


def test_a_fake_that_is_fake_as_a_whole_is_compared_as_a_whole() -> None:
    library = Library([entry(crops=True, kinds=(Kind.FULL_SYNTHESIS,))])
    assert codes(matching.of_picture(library, PRINT, PIXELS)) == ["shows_known_fake"]
    captioned = PIXELS.copy()
    captioned[200:220, 40:110] = scene(70, 20, seed=50, grain=1.0)
    changed = pixels_print(captioned)
    assert codes(matching.of_picture(library, changed, captioned)) == ["scene_of_known_fake"]


def test_an_original_that_was_seen_whole_stands_before_fakes_that_were_not_compared() -> None:
    library = Library([entry("f"), entry("o", "known_original", crops=True, kinds=())])
    matched = matching.of_picture(library, PRINT, PIXELS)
    assert codes(matched) == ["shows_known_original"]
    assert matched.evidence.finding.score < 0
    assert {name for _, name in matched.signatures} == {"f", "o"}


def test_a_known_fake_stands_before_everything() -> None:
    library = Library([entry("o", "known_original", crops=True, kinds=()), entry("f", crops=True)])
    assert codes(matching.of_picture(library, PRINT, PIXELS)) == ["shows_known_fake"]


def test_regions_are_told_in_the_pixels_of_what_was_asked() -> None:
    library = Library([entry("o", "known_original", crops=True, kinds=())])
    altered = PIXELS.copy()
    altered[30:70, 20:66] = scene(46, 40, seed=60, grain=1.0)
    mirrored = np.ascontiguousarray(altered[:, ::-1])
    matched = matching.of_picture(library, pixels_print(mirrored), mirrored)
    assert codes(matched) == ["altered_original"]
    (region,) = matched.evidence.finding.regions
    xs, ys = zip(*region.points, strict=True)
    assert (region.width, region.height) == (320, 240)
    assert abs(min(xs) - 254) < 14
    assert abs(max(xs) - 300) < 14
    assert abs(min(ys) - 30) < 14


def test_a_signature_on_trial_is_a_note_and_one_suspended_is_none() -> None:
    matched = matching.of_picture(Library([entry(state="shadow")]), PRINT, PIXELS)
    assert (codes(matched), matched.evidence.finding.score) == (["signature_on_trial"], 0.0)
    assert matching.of_picture(Library([entry(state="suspended")]), PRINT, PIXELS) is None


def test_digests_count_only_where_their_signature_does() -> None:
    sha256 = "ab" * 32
    digest = Signature("d", "known_original", Digest(sha256))
    trial = Known("theirs", digest, "shadow")
    both = Library([trial, Known("ours", digest)])
    assert matching.of_digest(Library([trial]), nobody, sha256) is None
    assert matching.of_digest(Library(), nobody, sha256) is None
    found = matching.of_digest(both, nobody, sha256)
    assert found is not None
    assert [r.code for r in found.finding.reasons] == ["known_original"]
    assert "ours" in found.finding.reasons[0].text


def test_what_people_said_of_a_digest_goes_before_a_list_and_the_test_file_before_all() -> None:
    sha256 = "ab" * 32
    listed = Library([Known("ours", Signature("d", "known_original", Digest(sha256)))])
    found = matching.of_digest(listed, lambda _: "known_fake:a reviewer", sha256)
    assert found is not None
    assert found.finding.score == 1.0
    test = sha256_of(testfile.content())
    for judged in (nobody, lambda _: "known_original:by mistake"):
        found = matching.of_digest(Library(), judged, test)
        assert found is not None
        assert found.finding.score == 1.0


def nobody(_sha256: str) -> str | None:
    return None


def test_pixels_are_needed_only_where_there_is_something_to_compare_with() -> None:
    assert matching.needs_pixels(Library([entry(crops=True)]), PRINT)
    assert not matching.needs_pixels(Library([entry()]), PRINT)
    assert not matching.needs_pixels(Library(), PRINT)


def test_fingerprints_come_back_from_their_bytes() -> None:
    name, data = stored(PRINT)
    back = restored(name, data)
    assert np.array_equal(back.codes, PRINT.codes)
    assert back.quality == PRINT.quality
    clip = VideoPrint(np.array([0.5, 1.25]), np.stack([PRINT.codes, PRINT.codes]))
    frames = restored(*stored(clip))
    assert frames.times_s.tolist() == [0.5, 1.25]
    assert np.array_equal(frames.codes, clip.codes[:, :1])


@pytest.mark.parametrize("data", [b"", b"x" * 256, b"x" * 258])
def test_bytes_that_are_no_fingerprint_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no fingerprint"):
        restored(PICTURE, data)
