"""The detector of parts that do not belong, on an encoder made of colours; the real weight is not needed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from assay.evidence.detectors._clip import ENCODER, PATCHES, Square
from assay.evidence.detectors.learned_edit import (
    BLOCKS,
    SMALLEST,
    LearnedEdit,
    Weights,
    regions,
    shipped,
    smoothed,
)
from assay.media.views import Image
from assay.types import Outcome

DEPTH = 768
WHOLE = Square(np.zeros((224, 224, 3), np.uint8), (0, 0, 280, 280), bordered=False)


class Colours:
    """An encoder whose first number of each patch is how red it is; everything else is 0."""

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="pixel_values")]

    def run(self, asked: list[str], feeds: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        x = feeds["pixel_values"].reshape(3, PATCHES, 16, PATCHES, 16).mean(axis=(2, 4)).reshape(3, -1)
        tokens = np.zeros((1, 1 + PATCHES**2, DEPTH), np.float32)
        tokens[0, 1:, 0] = x[0] - x[1:].mean(axis=0)
        return [tokens for _ in asked]


def redness(notable: float = 1.0) -> Weights:
    of = np.zeros(len(BLOCKS) * DEPTH)
    of[0] = 1.0
    return Weights(of, 0.0, notable, 0.5)


@pytest.fixture
def detector() -> LearnedEdit:
    sessions: dict[str, Any] = {ENCODER: Colours()}
    return LearnedEdit(sessions, redness())


def noise(height: int, width: int) -> NDArray[np.uint8]:
    """Grey, so that no part of it is red."""
    grey = np.random.default_rng(0).integers(0, 256, (height, width, 1)).astype(np.uint8)
    return grey.repeat(3, axis=2)


def with_patch(height: int = 420, width: int = 560) -> NDArray[np.uint8]:
    picture = noise(height, width)
    picture[height // 2 : height * 3 // 4, width // 2 : width * 3 // 4] = (250, 20, 20)
    return picture


def test_a_part_that_stands_out_is_scored_named_and_outlined(detector: LearnedEdit) -> None:
    finding = detector.examine(Image(coded=with_patch()))
    assert finding.score is not None
    assert finding.score > 1
    assert finding.reasons[0].code == "edit_part"
    [region] = finding.regions
    assert (region.width, region.height) == (560, 420)
    xs, ys = zip(*region.points, strict=True)
    assert 240 <= min(xs) <= 300
    assert 400 <= max(xs) <= 460
    assert 180 <= min(ys) <= 225
    assert 300 <= max(ys) <= 345
    assert finding.heat is not None
    assert finding.heat[150, 150] == 255
    assert finding.heat[20, 20] == 0


def test_a_picture_of_one_kind_shows_no_region(detector: LearnedEdit) -> None:
    finding = detector.examine(Image(coded=noise(420, 560)))
    assert finding.outcome is Outcome.SCORED
    assert finding.reasons[0].code == "edit_nothing"
    assert finding.regions == ()


@pytest.mark.parametrize(("orientation", "shape"), [(3, (560, 420)), (6, (420, 560)), (8, (420, 560))])
def test_regions_lie_in_the_upright_picture(
    detector: LearnedEdit, orientation: int, shape: tuple[int, int]
) -> None:
    view = Image(coded=with_patch(), orientation=orientation)
    [region] = detector.examine(view).regions
    assert (region.width, region.height) == shape
    turned = view.upright.astype(int)
    red = turned[..., 0] - turned[..., 1] > 100
    y, x = (v.mean() for v in np.nonzero(red))
    middle = np.mean(region.points, axis=0)
    assert abs(middle[0] - x) < 0.05 * region.width
    assert abs(middle[1] - y) < 0.05 * region.height


def test_within_borders_regions_and_heat_lie_where_the_picture_lies(detector: LearnedEdit) -> None:
    whole = np.zeros((720, 860, 3), np.uint8)
    whole[100:520, 200:760] = with_patch()
    finding = detector.examine(Image(coded=whole))
    assert [r.code for r in finding.reasons] == ["edit_part", "within_borders"]
    [region] = finding.regions
    assert (region.width, region.height) == (860, 720)
    middle = np.mean(region.points, axis=0)
    assert middle == pytest.approx((200 + 350, 100 + 262), abs=20)
    assert finding.heat is not None
    y, x = (v.mean() for v in np.nonzero(finding.heat > 250))
    assert (x * 860 / 224, y * 720 / 224) == pytest.approx((550, 362), abs=20)
    assert not finding.heat[:28].any()


@pytest.mark.parametrize(
    ("shape", "code"),
    [((SMALLEST - 1, 400), "too_small"), ((1, 1), "too_small"), ((300, 1300), "too_narrow")],
)
def test_what_was_never_learned_is_not_applicable(
    detector: LearnedEdit, shape: tuple[int, int], code: str
) -> None:
    finding = detector.examine(Image(coded=noise(*shape)))
    assert finding.outcome is Outcome.NOT_APPLICABLE
    assert finding.reasons[0].code == code


def test_a_flat_picture_is_not_applicable(detector: LearnedEdit) -> None:
    finding = detector.examine(Image(coded=np.full((300, 300, 3), 130, np.uint8)))
    assert finding.reasons[0].code == "too_flat"


def test_the_same_picture_gets_the_same_score_and_stays_as_it_was(detector: LearnedEdit) -> None:
    picture = with_patch()
    before = picture.copy()
    picture.flags.writeable = False
    assert detector.examine(Image(coded=picture)) == detector.examine(Image(coded=picture))
    assert np.array_equal(picture, before)


def test_values_are_means_over_three_by_three_patches_and_the_border_counts_again() -> None:
    values = np.zeros((PATCHES, PATCHES))
    values[5, 5], values[0, 0] = 9.0, 9.0
    found = smoothed(values)
    assert found[4:7, 4:7] == pytest.approx(1.0)
    assert found[5, 7] == 0
    assert found[0, 0] == pytest.approx(4.0)
    assert np.array_equal(smoothed(np.stack([values, values]))[1], found)


def test_only_the_part_around_the_strongest_patch_is_outlined() -> None:
    values = np.zeros((PATCHES, PATCHES))
    values[2:5, 2:5], values[9:12, 9:12] = 5.0, 3.0
    [region] = regions(values, 1.0, WHOLE, (280, 280), 5.0)
    assert max(x for x, _ in region.points) < 140


def test_a_region_ends_below_its_score_whatever_the_edge() -> None:
    values = np.zeros((PATCHES, PATCHES))
    values[6:9, 6:9] = 2.0
    assert len(regions(values, 7.0, WHOLE, (280, 280), 2.0)) == 1


def test_the_shipped_map_fits_the_encoder() -> None:
    weights = shipped()
    assert weights.of.shape == (len(BLOCKS) * DEPTH,)
    assert np.isfinite(weights.of).all()
    assert weights.of.any()
    assert weights.notable > weights.edge


@pytest.mark.slow  # where the weights are
@pytest.mark.shared
def test_the_real_encoder_sees_parts_pasted_into_photographs() -> None:
    from assay.evidence.models import path_of, sessions

    shared = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "images"
    folder = Path("~/.local/share/assay/models").expanduser()
    if not shared.is_dir() or path_of(ENCODER, folder) is None:
        pytest.skip("needs ../shared/data and the pulled encoder")
    real = LearnedEdit(sessions([ENCODER], folder))
    files = sorted((shared / "bona_fide" / "camera").iterdir())[::8]
    pictures = [np.asarray(Pillow.open(f).convert("RGB").resize((800, 600))) for f in files]
    plain, edited = [], []
    for host, donor in zip(pictures, pictures[1:] + pictures[:1], strict=True):
        pasted = host.copy()
        pasted[200:400, 300:500] = donor[100:300, 500:700]
        for picture, scores in ((host, plain), (pasted, edited)):
            score = real.examine(Image(coded=picture)).score
            assert score is not None
            scores.append(score)
    assert np.median(edited) > np.median(plain) + 1
