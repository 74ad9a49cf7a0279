"""A splice is confirmed; its original, the original re-saved and the splice re-saved are screened. And the other way."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from assay.media.views import upright
from assay.signatures.difference import Difference, Shown, against_fake, against_original
from assay.signatures.entries import PictureCode, Signature, decoded, encoded
from assay.signatures.index import HammingIndex
from assay.signatures.pdq import ImagePrint, pixels_print
from assay.signatures.references import boxed, reference_of
from assay.testing.images import jpeg, scene
from assay.types import Kind

SIZE = 512, 384
BOX = 60, 200, 150, 290  # left, top, right, bottom of the splice


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(jpeg(pixels, quality=quality))).convert("RGB"))


def spliced(pixels: np.ndarray) -> np.ndarray:
    left, top, right, bottom = BOX
    mixed = pixels.copy()
    mixed[top:bottom, left:right] = scene(right - left, bottom - top, seed=77, grain=1.0)
    return mixed


ORIGINAL = saved(scene(*SIZE, seed=21, grain=1.0), 93)
SPLICE = saved(spliced(ORIGINAL), 91)


@dataclass
class Screen:
    """What a screen knows: signatures by key, their codes in an index."""

    signatures: list[Signature]

    def __post_init__(self) -> None:
        codes = [s.fingerprint.code for s in self.signatures if isinstance(s.fingerprint, PictureCode)]
        self.index = HammingIndex(np.stack(codes))

    def __call__(self, pixels: np.ndarray) -> list[tuple[str, Difference]]:
        found = pixels_print(pixels)
        assert isinstance(found, ImagePrint)
        answers = []
        for hit in self.index.search(found.codes):
            signature = self.signatures[hit.key]
            check = against_fake if signature.about == "known_fake" else against_original
            answers.append((signature.about, check(pixels, hit.query + 1, signature.reference)))
        return answers


def code_of(pixels: np.ndarray) -> PictureCode:
    found = pixels_print(pixels)
    assert isinstance(found, ImagePrint)
    return PictureCode(found.code, found.quality)


def through_a_pack(signature: Signature) -> Signature:
    return decoded(encoded(signature))


@pytest.fixture(scope="module")
def confirmed() -> Screen:
    region = boxed(*BOX, width=SIZE[0], height=SIZE[1])
    reference = reference_of(SPLICE, [region], ORIGINAL)
    return Screen(
        [
            through_a_pack(
                Signature("fake", "known_fake", code_of(SPLICE), (Kind.SPLICE,), reference=reference)
            )
        ]
    )


@pytest.fixture(scope="module")
def trusted() -> Screen:
    return Screen(
        [
            through_a_pack(
                Signature("original", "known_original", code_of(ORIGINAL), reference=reference_of(ORIGINAL))
            )
        ]
    )


CANDIDATES = {
    "the splice": (SPLICE, Shown.FAKE, Shown.ALTERED),
    "the splice re-saved": (saved(SPLICE, 60), Shown.FAKE, Shown.ALTERED),
    "the splice halved": (
        saved(cv2.resize(SPLICE, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), 75), Shown.FAKE, Shown.ALTERED,
    ),
    "the splice mirrored": (np.ascontiguousarray(upright(SPLICE, 2)), Shown.FAKE, Shown.ALTERED),
    "its original": (ORIGINAL, Shown.ORIGINAL, Shown.ORIGINAL),
    "its original re-saved": (saved(ORIGINAL, 60), Shown.ORIGINAL, Shown.ORIGINAL),
    "its original turned": (np.ascontiguousarray(upright(ORIGINAL, 6)), Shown.ORIGINAL, Shown.ORIGINAL),
}  # fmt: skip


@pytest.mark.parametrize(("pixels", "shown", "_"), CANDIDATES.values(), ids=CANDIDATES)
def test_a_confirmed_splice_is_told_from_its_original(
    confirmed: Screen, pixels: np.ndarray, shown: Shown, _: Shown
) -> None:
    assert [(about, d.shown) for about, d in confirmed(pixels)] == [("known_fake", shown)]


@pytest.mark.parametrize(("pixels", "_", "shown"), CANDIDATES.values(), ids=CANDIDATES)
def test_a_splice_of_a_known_original_is_not_waved_through(
    trusted: Screen, pixels: np.ndarray, _: Shown, shown: Shown
) -> None:
    assert [(about, d.shown) for about, d in trusted(pixels)] == [("known_original", shown)]


def test_without_stored_pictures_a_near_match_is_held_at_most() -> None:
    bare = Screen([Signature("fake", "known_fake", code_of(SPLICE))])
    for pixels in (SPLICE, ORIGINAL):
        assert [d.shown for _, d in bare(pixels)] == [Shown.UNCHECKED]


def test_an_unrelated_picture_is_near_to_nothing(confirmed: Screen, trusted: Screen) -> None:
    other = scene(*SIZE, seed=5)
    assert confirmed(other) == trusted(other) == []
