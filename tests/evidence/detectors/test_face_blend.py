"""The face detector on networks that the tests make up; with the pulled ones on a public-domain portrait."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.evidence.detectors.face_blend import (
    CORNERS,
    ENCODER,
    PATCHES,
    SIDE,
    SMALLEST,
    FaceBlend,
    Head,
    crop,
    pooled,
    shipped_head,
)
from assay.evidence.models import path_of, sessions
from assay.media import faces
from assay.media.faces import Mesh
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import complaints
from assay.types import Finding, Outcome
from face_weights import FOLDER, astronaut, network

DEPTH = 6  # numbers a token of the made-up encoder


class Encoder:
    """Each patch's mean colour and its square, after a class token of zeros."""

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="pixel_values", shape=(1, 3, SIDE, SIDE))]

    def run(self, names: Sequence[str] | None, feeds: dict[str, Any], /) -> list[Any]:
        x = feeds["pixel_values"].reshape(3, PATCHES, 16, PATCHES, 16).mean(axis=(2, 4)).reshape(3, -1).T
        tokens = np.zeros((1, 1 + PATCHES**2, DEPTH), np.float32)
        tokens[0, 1:] = np.concatenate([x, x * x], axis=1)
        return [tokens]


class Spots:
    """A detector of small red squares: a face of a fixed size around each."""

    def __init__(self, size: float) -> None:
        self.size = size

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="input", shape=(1, 192, 192, 3))]

    def run(self, names: Sequence[str] | None, feeds: dict[str, Any], /) -> list[Any]:
        square = feeds["input"][0]
        red = (square[..., 0] - square[..., 1:].max(axis=2)).reshape(48, 4, 48, 4).max(axis=(1, 3)).ravel()
        raw = np.zeros((1, 48 * 48, 16), np.float32)
        raw[0, :, 2:4] = self.size
        raw[0, :, 4:8] = (-4, 0, 4, 0)  # eyes level
        return [raw, np.where(red > 0.8, 4.0, -9.0).astype(np.float32)[None, :, None]]


class Oval:
    """A mesh network that always sees the same oval."""

    def __init__(self, logit: float = 9.0) -> None:
        self.logit = logit

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="x", shape=(1, 192, 192, 3))]

    def run(self, names: Sequence[str] | None, feeds: dict[str, Any], /) -> list[Any]:
        angle = np.linspace(0, 2 * np.pi, 468, endpoint=False)
        points = np.column_stack([96 + 50 * np.cos(angle), 96 + 62 * np.sin(angle), 0 * angle])
        return [points.astype(np.float32).reshape(1, 1, 1, -1), np.full((1, 1), self.logit, np.float32)]


def detector(*, size: float = 60.0, logit: float = 9.0, notable: float = 0.0, bias: float = 0.0) -> FaceBlend:
    made = {ENCODER: Encoder(), faces.DETECTOR: Spots(size), faces.MESH: Oval(logit)}
    weight = np.random.default_rng(0).normal(size=3 * DEPTH)
    return FaceBlend(made, Head(weight, bias, notable))  # type: ignore[arg-type]


def people(*places: tuple[int, int], height: int = 384, width: int = 384, seed: int = 4) -> NDArray[np.uint8]:
    """A scene without red, and a red spot for each person."""
    pixels = images.scene(width, height, seed=seed)
    pixels[..., 0] = np.minimum(pixels[..., 0], pixels[..., 1])
    for x, y in places:
        pixels[y : y + 8, x : x + 8] = (255, 0, 0)
    return pixels


def examined(pixels: NDArray[np.uint8], **how: Any) -> Finding:
    return detector(**how).examine(Image(coded=pixels))


def test_a_face_gets_a_finite_score_and_a_reason() -> None:
    finding = examined(people((190, 190)))
    assert finding.outcome is Outcome.SCORED
    assert finding.reasons[0].code in {"face_seam", "face_no_seam"}
    assert finding.reasons[0].text.startswith("The face ")


def test_the_same_picture_gets_the_same_finding_and_stays_as_it_was() -> None:
    pixels = people((190, 190))
    before = pixels.copy()
    pixels.flags.writeable = False
    assert examined(pixels) == examined(pixels)
    assert np.array_equal(pixels, before)


def test_it_keeps_its_promises_on_every_awkward_view() -> None:
    assert complaints(detector(), views={"a face": Image(coded=people((190, 190)))}) == []


def test_nobody_is_not_applicable() -> None:
    finding = examined(people())
    assert finding.outcome is Outcome.NOT_APPLICABLE
    assert finding.reasons[0].code == "no_face"


def test_a_face_that_is_too_small_is_told_with_its_size() -> None:
    finding = examined(people((190, 190)), size=20.0)  # 40 pixels
    assert finding.reasons[0].code == "face_too_small"
    assert "40 pixels" in finding.reasons[0].text
    assert str(SMALLEST) in finding.reasons[0].text


def test_what_is_not_surely_a_face_is_left_out() -> None:
    assert examined(people((190, 190)), logit=-2.0).reasons[0].code == "no_clear_face"


def test_a_crop_of_one_tone_is_left_out() -> None:
    made = {ENCODER: Encoder(), faces.DETECTOR: Spots(60), faces.MESH: Oval()}
    examiner = FaceBlend(made, Head(np.zeros(3 * DEPTH), 0, 0))  # type: ignore[arg-type]
    assert examiner._scored(np.full((99, 99, 3), 7, np.uint8), Mesh(np.eye(3)[[0, 1, 0]] * 50, 1.0)) is None


def test_the_words_follow_the_heads_notable_score() -> None:
    for notable, code in ((-1e6, "face_seam"), (1e6, "face_no_seam")):
        finding = examined(people((190, 190)), notable=notable)
        assert finding.reasons[0].code == code
        assert bool(finding.regions) is (code == "face_seam")


def test_the_score_is_that_of_the_worst_face_and_says_which() -> None:
    pixels = people((70, 190), (300, 190))
    finding = examined(pixels, size=24.0, notable=-1e6)
    assert len(finding.regions) == 2
    scores = [r.score for r in finding.regions]
    assert finding.score == max(s for s in scores if s is not None)
    text = finding.reasons[0].text
    assert "of 2 faces" in text
    assert ("on the left" in text) is not ("on the right" in text)


def test_three_faces_at_most_are_examined_and_the_rest_is_told() -> None:
    places = [(x, y) for x in (70, 190, 310) for y in (100, 290)]
    finding = examined(people(*places), size=24.0, notable=-1e6)
    assert len(finding.regions) == 3
    assert "3 more were not examined" in finding.reasons[0].text


def test_a_region_is_an_outline_inside_of_the_picture() -> None:
    finding = examined(people((4, 4)), notable=-1e6)
    (region,) = finding.regions
    assert 3 <= len(region.points) <= CORNERS
    assert all(0 <= x <= 384 and 0 <= y <= 384 for x, y in region.points)
    assert (region.width, region.height) == (384, 384)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_faces_are_looked_for_upright(orientation: int) -> None:
    coded = people((100, 50), height=300, width=400)
    view = Image(coded=coded, orientation=orientation)
    turned = detector(notable=-1e6).examine(view)
    plain = detector(notable=-1e6).examine(Image(coded=np.ascontiguousarray(view.upright)))
    assert turned == plain
    (region,) = turned.regions
    assert (region.height, region.width) == view.upright.shape[:2]


@pytest.mark.parametrize("shape", [(1, 1), (1, 600), (3, 3), (40, 2000)])
def test_odd_shapes_are_no_error(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    assert examined(pixels).reasons


@pytest.mark.parametrize("make", [lambda: images.flat(200, 200), lambda: np.full((90, 90, 3), 255, np.uint8)])
def test_flat_pictures_have_no_face(make: Any) -> None:
    assert examined(make()).outcome is Outcome.NOT_APPLICABLE


def test_pooling_tells_inside_from_outside() -> None:
    tokens = np.zeros((1, 1 + PATCHES**2, 2), np.float32)
    middle = np.zeros((PATCHES, PATCHES), bool)
    middle[4:10, 4:10] = True
    tokens[0, 1:, 0] = middle.ravel()
    tokens[0, 1:, 1] = 5
    tokens[0, 0] = 1e9  # the class token has no part in it
    inner, outer, spread = pooled(tokens).reshape(3, 2)
    assert inner[0] > 0.5
    assert outer[0] < 0.15
    assert spread.tolist() == [pytest.approx(tokens[0, 1:, 0].std()), 0]
    assert inner[1] == outer[1] == 5


def test_a_crop_reaches_over_the_edge_by_repeating_it() -> None:
    pixels = people((5, 5))
    angle = np.linspace(0, 2 * np.pi, 468)
    mesh = Mesh(np.column_stack([60 * np.cos(angle), 60 * np.sin(angle), 0 * angle]), 1.0)
    square = crop(pixels, mesh)
    assert square.shape == (SIDE, SIDE, 3)
    assert np.array_equal(square[0, 0], square[60, 20])


def test_large_and_small_renderings_of_a_face_look_alike() -> None:
    """All detail beyond 160 pixels is averaged away before the encoder sees it."""
    large = people((5, 5), height=800, width=800)
    angle = np.linspace(0, 2 * np.pi, 468)
    oval = np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])
    from PIL import Image as Pillow

    half = np.asarray(Pillow.fromarray(large).resize((400, 400), Pillow.Resampling.BOX))
    one = crop(large, Mesh(oval * 200 + (400, 400, 0), 1.0)).astype(int)
    two = crop(half, Mesh(oval * 100 + (200, 200, 0), 1.0)).astype(int)
    assert np.abs(one - two).mean() < 3


def test_the_shipped_head_fits_the_encoder() -> None:
    head = shipped_head()
    assert head.weight.shape == (3 * 768,)
    assert np.isfinite(head.weight).all()
    assert np.isfinite([head.bias, head.notable]).all()


@pytest.mark.slow  # where the weights are
def test_a_blended_portrait_scores_higher_than_itself() -> None:
    import cv2

    from assay.range import portraits, self_blend

    if path_of(ENCODER, FOLDER) is None:
        pytest.skip(f"needs a weight: assay models pull {ENCODER}")
    opened = sessions([ENCODER], FOLDER) | {n: network(n) for n in (faces.DETECTOR, faces.MESH)}
    examiner = FaceBlend(opened)  # type: ignore[arg-type]
    pixels = astronaut().copy()
    before = examiner.examine(Image(coded=pixels))
    assert before.score is not None
    mesh = portraits.finder(network(faces.DETECTOR), network(faces.MESH))(pixels)
    assert mesh is not None
    cv2.setNumThreads(1)
    scores = []
    for seed in range(5):
        made = self_blend.self_blended(pixels, mesh, np.random.default_rng(seed))
        if made is not None:
            after = examiner.examine(Image(coded=made.pixels))
            scores.append(after.score if after.score is not None else -np.inf)
    assert np.mean(scores) > before.score
