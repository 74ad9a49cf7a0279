"""The learned detector, on a tiny encoder that the tests make themselves; the real weight is not needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from assay.evidence.detectors.learned_image import (
    ENCODER,
    LAYER,
    SIDE,
    Head,
    LearnedImage,
    Part,
    pooled,
    reduced,
    shipped_head,
    tensor,
    window,
)
from assay.evidence.models import session_options
from assay.media.views import Image, upright
from assay.types import Outcome

SIZE = 512  # of the embedding
WIDE = 2304  # of the pooled middle layer


@pytest.fixture(scope="module")
def sessions() -> dict[str, object]:
    """An encoder of one matrix: the picture's mean over 14 x 14 boxes, projected by fixed random numbers."""
    onnx = pytest.importorskip("onnx", reason="the onnx package makes the tiny encoder")
    onnxruntime = pytest.importorskip("onnxruntime")
    helper = onnx.helper
    matrix = np.random.default_rng(7).normal(size=(3 * 16 * 16, SIZE)).astype(np.float32)
    ramp = np.linspace(0, 1, 197, dtype=np.float32).reshape(1, 197, 1)
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["pixel_values"], ["pooled"], kernel_shape=[14, 14], strides=[14, 14]
            ),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "matrix"], ["image_embeds"]),
            helper.make_node("Mul", ["flat", "ramp"], [LAYER]),  # (1, 768) by (1, 197, 1)
        ],
        "tiny",
        [helper.make_tensor_value_info("pixel_values", 1, [1, 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("image_embeds", 1, [1, SIZE]),
            helper.make_tensor_value_info(LAYER, 1, [1, 197, 768]),
        ],
        [onnx.numpy_helper.from_array(matrix, "matrix"), onnx.numpy_helper.from_array(ramp, "ramp")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return {ENCODER: onnxruntime.InferenceSession(model.SerializeToString(), session_options())}


@pytest.fixture
def detector(sessions: dict[str, object]) -> LearnedImage:
    return LearnedImage(sessions)  # type: ignore[arg-type]


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def blobs(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    small = Pillow.fromarray(noise(8, 8, seed))
    return np.asarray(small.resize((width, height), Pillow.Resampling.BICUBIC))


def test_a_picture_gets_a_finite_score_and_a_reason(detector: LearnedImage) -> None:
    finding = detector.examine(Image(coded=blobs(300, 400)))
    assert finding.outcome is Outcome.SCORED
    assert finding.score is not None
    assert finding.reasons[0].code in {
        "learned_synthetic_like",
        "learned_texture_like",
        "learned_nothing",
    }


def test_the_same_picture_gets_the_same_score_and_stays_as_it_was(detector: LearnedImage) -> None:
    picture = blobs(300, 400)
    before = picture.copy()
    assert detector.examine(Image(coded=picture)) == detector.examine(Image(coded=picture))
    assert np.array_equal(picture, before)


def test_a_read_only_picture_is_examined(detector: LearnedImage) -> None:
    picture = blobs(300, 400)
    picture.flags.writeable = False
    assert detector.examine(Image(coded=picture)).outcome is Outcome.SCORED


@pytest.mark.parametrize(
    ("shape", "code"), [((63, 400), "too_small"), ((1, 1), "too_small"), ((100, 500), "too_narrow")]
)
def test_what_was_never_learned_is_not_applicable(
    detector: LearnedImage, shape: tuple[int, int], code: str
) -> None:
    finding = detector.examine(Image(coded=noise(*shape)))
    assert finding.outcome is Outcome.NOT_APPLICABLE
    assert finding.reasons[0].code == code


def test_a_flat_picture_is_not_applicable(detector: LearnedImage) -> None:
    finding = detector.examine(Image(coded=np.full((200, 200, 3), 130, np.uint8)))
    assert finding.reasons[0].code == "too_flat"


def head(look: float, traces: float, notable: float) -> Head:
    return Head(Part(np.zeros(SIZE), look), Part(np.zeros(WIDE), traces), notable)


def test_the_words_follow_the_heads_notable_score_and_its_stronger_part(sessions: dict[str, object]) -> None:
    view = Image(coded=blobs(300, 400))
    for given, code in (
        (head(3, 0, 1.9), "learned_synthetic_like"),
        (head(1, 4, 1.9), "learned_texture_like"),
        (head(1, 4, 2.1), "learned_nothing"),
    ):
        finding = LearnedImage(sessions, given).examine(view)  # type: ignore[arg-type]
        assert finding.score == pytest.approx(2.0, abs=1e-9)
        assert finding.reasons[0].code == code


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_window_turned_is_the_turned_pictures_window_in_content(orientation: int) -> None:
    view = Image(coded=blobs(300, 400), orientation=orientation)
    assert np.sort(window(view.coded, orientation), axis=None).shape == (SIDE * SIDE * 3,)
    assert np.array_equal(window(view.coded, orientation), upright(window(view.coded), orientation))


def test_a_window_is_cut_and_not_resized() -> None:
    picture = noise(300, 500)
    cut = window(picture)
    assert cut.shape == (SIDE, SIDE, 3)
    assert any(
        np.array_equal(cut, picture[y : y + SIDE, x : x + SIDE]) for y in (0, 38, 76) for x in (0, 138, 276)
    )


def test_the_window_goes_where_the_detail_is() -> None:
    picture = np.full((600, 700, 3), 90, np.uint8)
    picture[376:, 476:] = noise(224, 224)
    assert np.array_equal(window(picture), picture[376:, 476:])
    picture[:224, :224] = np.where(np.arange(224)[:, None, None] < 112, 0, 255)  # one hard edge wins nothing
    assert np.array_equal(window(picture), picture[376:, 476:])


def test_a_small_pictures_window_is_its_largest_square_enlarged() -> None:
    picture = blobs(100, 180)
    expected = [
        Pillow.fromarray(picture[:, x : x + 100]).resize((SIDE, SIDE), Pillow.Resampling.BICUBIC)
        for x in (0, 40, 80)
    ]
    assert any(np.array_equal(window(picture), e) for e in expected)


def test_pooling_takes_inner_and_outer_means_and_the_spread() -> None:
    tokens = np.zeros((197, 768), np.float32)
    tokens[1:] = 1
    tokens[0] = 99  # the class token does not count
    grid = tokens[1:].reshape(14, 14, 768)
    grid[5:8, 5:8] = 3
    inner, outer, spread = pooled(tokens).reshape(3, 768)
    assert np.allclose(inner, 1 + 2 * 9 / 72)
    assert np.allclose(outer, 1)
    assert np.allclose(spread, tokens[1:].std(axis=0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_after_the_reduction_is_turning_before_it(orientation: int) -> None:
    view = Image(coded=blobs(230, 410), orientation=orientation)
    late = reduced(view.coded, orientation).astype(int)
    early = reduced(view.upright).astype(int)
    assert np.abs(late - early).max() <= 1


def test_a_picture_of_the_encoders_size_is_taken_as_it_is() -> None:
    picture = noise(SIDE, SIDE)
    assert np.array_equal(reduced(picture), picture)


def test_a_large_picture_is_reduced_nearly_as_by_the_slow_way() -> None:
    picture = blobs(1800, 2400)
    slow = Pillow.fromarray(picture).resize((SIDE, SIDE), Pillow.Resampling.BICUBIC)
    assert np.abs(reduced(picture).astype(int) - np.asarray(slow).astype(int)).max() <= 2


def test_the_encoders_input_is_normalised_per_channel() -> None:
    x = tensor(np.full((SIDE, SIDE, 3), 255, np.uint8))
    assert x.shape == (1, 3, SIDE, SIDE)
    assert x.dtype == np.float32
    assert x[0, :, 0, 0] == pytest.approx([1.9303, 2.0749, 2.1459], abs=1e-3)


def test_the_look_ignores_the_embeddings_length() -> None:
    judge = Head(Part(np.arange(4.0), 0.5), Part(np.zeros(2), 0.0), 0.0)
    direction, middle = np.array([1, 2, 3, 4], np.float32), np.zeros(2, np.float32)
    assert judge.scores(direction, middle) == pytest.approx(judge.scores(7 * direction, middle))
    assert judge.scores(np.zeros(4, np.float32), middle) == (0.5, 0.0)


def test_the_shipped_head_fits_the_encoder() -> None:
    shipped = shipped_head()
    assert shipped.last.weight.shape == (SIZE,)
    assert shipped.middle.weight.shape == (WIDE,)
    assert all(
        np.isfinite(part.weight).all() and part.weight.any() for part in (shipped.last, shipped.middle)
    )
    assert np.isfinite([shipped.last.bias, shipped.middle.bias, shipped.notable]).all()


@pytest.mark.slow  # where the weights are
@pytest.mark.shared
def test_the_real_encoder_tells_generated_portraits_from_camera_scenes() -> None:
    from assay.evidence.models import path_of, sessions

    shared = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "images"
    folder = Path("~/.local/share/assay/models").expanduser()
    if not shared.is_dir() or path_of(ENCODER, folder) is None:
        pytest.skip("needs ../shared/data and the pulled encoder")
    detector = LearnedImage(sessions([ENCODER], folder))

    def scores(place: str) -> list[float]:
        files = sorted((shared / place).iterdir())[:40:8]
        opened = [np.asarray(Pillow.open(f).convert("RGB")) for f in files]
        return [f.score for p in opened if (f := detector.examine(Image(coded=p))).score is not None]

    assert np.median(scores("fake/sd3_portraits")) > np.median(scores("bona_fide/camera"))
