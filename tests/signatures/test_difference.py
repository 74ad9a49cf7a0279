from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from assay.media.views import upright
from assay.signatures.alignment import align, luma_of
from assay.signatures.codes import distances
from assay.signatures.difference import Shown, against_fake, against_original, agreement
from assay.signatures.pdq import ImagePrint, pixels_print
from assay.signatures.references import PATCHES, UNIT, Reference, boxed, reference_of
from assay.testing.images import flat, jpeg, scene

WIDTH, HEIGHT = 480, 360
LEFT, TOP, SIDE = 280, 90, 72  # the splice
REGION = boxed(LEFT, TOP, LEFT + SIDE, TOP + SIDE, width=WIDTH, height=HEIGHT)
Pixels = np.ndarray


def read(data: bytes) -> Pixels:
    return np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))


def saved(pixels: Pixels, quality: int) -> Pixels:
    return read(jpeg(pixels, quality=quality))


def halved(pixels: Pixels) -> Pixels:
    return cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def spliced(pixels: Pixels, seed: int) -> Pixels:
    """Paste a part of another scene, its edges softened."""
    other = scene(SIDE, SIDE, seed=seed, grain=1.0)
    soft = np.zeros((SIDE, SIDE), np.float32)
    cv2.ellipse(soft, (SIDE // 2, SIDE // 2), (SIDE // 2 - 4, SIDE // 2 - 4), 0, 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(soft, (0, 0), 2)[..., None]
    mixed = pixels.copy()
    place = mixed[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    place[:] = np.rint(soft * other + (1 - soft) * place).astype(np.uint8)
    return mixed


ORIGINAL = saved(scene(WIDTH, HEIGHT, seed=11, grain=1.0), 92)
SPLICE = saved(spliced(ORIGINAL, 41), 90)
OTHER_SPLICE = spliced(ORIGINAL, 43)

Laundering = Callable[[Pixels], Pixels]
LAUNDERINGS: dict[str, Laundering] = {
    "as it is": lambda p: p,
    "re-saved": lambda p: saved(p, 75),
    "re-saved badly": lambda p: saved(p, 35),
    "halved": lambda p: saved(halved(p), 80),
    "darker": lambda p: (p * 0.75 + 10).astype(np.uint8),
    "trimmed": lambda p: p[4:-3, 6:-2],
}


@pytest.fixture(scope="module")
def fake() -> Reference:
    """The signature of the splice, with what its original shows."""
    return reference_of(SPLICE, [REGION], ORIGINAL)


@pytest.fixture(scope="module")
def fake_alone() -> Reference:
    return reference_of(SPLICE, [REGION])


@pytest.fixture(scope="module")
def original() -> Reference:
    return reference_of(ORIGINAL)


def test_a_splice_has_nearly_its_originals_fingerprint() -> None:
    """Which is why the fingerprint alone decides nothing."""
    a, b = pixels_print(SPLICE), pixels_print(ORIGINAL)
    assert isinstance(a, ImagePrint)
    assert isinstance(b, ImagePrint)
    assert distances(a.code, b.code) <= 31


@pytest.mark.parametrize("laundering", LAUNDERINGS.values(), ids=LAUNDERINGS)
def test_a_confirmed_splice_is_known_again(fake: Reference, laundering: Laundering) -> None:
    found = against_fake(laundering(SPLICE), 1, fake)
    assert found.shown is Shown.FAKE
    assert found.regions == (REGION,)


@pytest.mark.parametrize("laundering", LAUNDERINGS.values(), ids=LAUNDERINGS)
def test_its_original_is_not_taken_for_it(fake: Reference, laundering: Laundering) -> None:
    assert against_fake(laundering(ORIGINAL), 1, fake).shown is Shown.ORIGINAL


@pytest.mark.parametrize("name", ["as it is", "re-saved badly", "halved"])
def test_without_the_originals_patch_the_fake_is_known_and_its_original_is_not_it(
    fake_alone: Reference, name: str
) -> None:
    laundering = LAUNDERINGS[name]
    assert against_fake(laundering(SPLICE), 1, fake_alone).shown is Shown.FAKE
    assert against_fake(laundering(ORIGINAL), 1, fake_alone).shown in (Shown.OTHER, Shown.UNCLEAR)


@pytest.mark.parametrize("laundering", LAUNDERINGS.values(), ids=LAUNDERINGS)
def test_a_splice_of_a_known_original_is_flagged_with_its_place(
    original: Reference, laundering: Laundering
) -> None:
    found = against_original(laundering(SPLICE), 1, original)
    assert found.shown is Shown.ALTERED
    covered = np.zeros((360, 480), bool)
    for left, top, right, bottom in found.regions:
        covered[top * 360 // UNIT : bottom * 360 // UNIT, left * 480 // UNIT : right * 480 // UNIT] = True
    inside = covered[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    assert inside.mean() > 0.3
    assert covered.sum() - inside.sum() < SIDE * SIDE


@pytest.mark.parametrize("laundering", LAUNDERINGS.values(), ids=LAUNDERINGS)
def test_a_known_original_is_not_flagged(original: Reference, laundering: Laundering) -> None:
    found = against_original(laundering(ORIGINAL), 1, original)
    assert found.shown is Shown.ORIGINAL
    assert found.regions == ()


def test_another_splice_in_the_same_place_is_neither(fake: Reference, original: Reference) -> None:
    assert against_fake(OTHER_SPLICE, 1, fake).shown is Shown.OTHER
    assert against_original(OTHER_SPLICE, 1, original).shown is Shown.ALTERED


@pytest.mark.parametrize(("stored", "seen"), [(2, 2), (6, 8), (3, 3), (8, 6)])
def test_a_turned_candidate_is_turned_back_as_the_match_says(
    fake: Reference, original: Reference, stored: int, seen: int
) -> None:
    """The candidate's code in orientation `seen` is the one that matched; it undoes `stored`."""
    turned = np.ascontiguousarray(upright(SPLICE, stored))
    assert against_fake(turned, seen, fake).shown is Shown.FAKE
    assert against_original(turned, seen, original).shown is Shown.ALTERED


def test_without_stored_pictures_nothing_is_decided(original: Reference) -> None:
    assert against_fake(SPLICE, 1, None).shown is Shown.UNCHECKED
    assert against_fake(SPLICE, 1, original).shown is Shown.UNCHECKED  # a frame without changed regions
    assert against_original(SPLICE, 1, None).shown is Shown.UNCHECKED


def test_another_scene_is_unclear(fake: Reference, original: Reference) -> None:
    other = scene(WIDTH, HEIGHT, seed=12)
    assert against_fake(other, 1, fake).shown is Shown.UNCLEAR
    assert against_original(other, 1, original).shown is Shown.UNCLEAR


@pytest.mark.parametrize(
    "pixels", [flat(400, 300), flat(60, 40), scene(80, 60, seed=11), np.zeros((1, 1, 3), np.uint8)]
)
def test_what_shows_too_little_is_unclear(fake: Reference, original: Reference, pixels: Pixels) -> None:
    assert against_fake(pixels, 1, fake).shown is Shown.UNCLEAR
    assert against_original(pixels, 1, original).shown is Shown.UNCLEAR


def test_a_region_that_is_cut_off_is_unclear(fake: Reference) -> None:
    assert against_fake(SPLICE[:, : WIDTH - 130], 1, fake).shown is Shown.UNCLEAR


def test_a_change_too_faint_to_be_told_is_unclear() -> None:
    faint = ORIGINAL.copy()
    place = faint[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    place[:] = np.clip(place.astype(int) + 2, 0, 255)
    stored = reference_of(faint, [REGION], ORIGINAL)
    assert against_fake(saved(faint, 60), 1, stored).shown is Shown.UNCLEAR


def test_a_candidate_is_left_as_it_was(fake: Reference) -> None:
    pixels = SPLICE.copy()
    pixels.flags.writeable = False
    first, second = against_fake(pixels, 1, fake), against_fake(pixels, 1, fake)
    assert first == second
    assert (pixels == SPLICE).all()


@pytest.mark.parametrize(("move", "scale", "gain"), [(0.0, 1.0, 1.0), (5.0, 1.02, 0.7), (-8.0, 0.97, 1.2)])
def test_alignment_finds_a_move_to_a_tenth_of_a_pixel_past_a_changed_part(
    move: float, scale: float, gain: float
) -> None:
    reference = luma_of(scene(256, 192, seed=4, grain=0.0))
    there = np.array([[scale, 0.005, move], [-0.005, scale, 2.0]], np.float32)
    moved = cv2.warpAffine(reference, there, (256, 192), borderMode=cv2.BORDER_REFLECT) * gain
    moved[60:110, 100:150] = 128
    found = align(moved.astype(np.float32), reference)
    assert np.abs(found.affine - there).max() < 0.1
    assert found.gain == pytest.approx(gain, rel=0.1)
    assert found.correlation > 0.95


def test_agreement_is_one_for_the_same_and_about_nothing_for_other_content() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(128, 30, 5000).astype(np.float32) for _ in range(2))
    assert agreement(a, a) == pytest.approx(1)
    assert agreement(a, b) == pytest.approx(0, abs=0.1)
    assert agreement(a, a + 100) < 0
    level = np.full(5000, 90, np.float32)
    assert agreement(level, level + 1) > 0.9


def test_regions_outside_of_the_picture_or_too_many_are_refused() -> None:
    with pytest.raises(ValueError, match="no region"):
        reference_of(SPLICE, [(0, 0, UNIT + 1, 5)])
    with pytest.raises(ValueError, match="no region"):
        reference_of(SPLICE, [(9, 0, 9, 5)])
    with pytest.raises(ValueError, match=f"at most {PATCHES}"):
        reference_of(SPLICE, [REGION] * (PATCHES + 1))
