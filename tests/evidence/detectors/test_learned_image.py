"""The learned detector, on a tiny encoder that the tests make themselves; the real weight is not needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from assay.evidence.detectors._clip import ENCODER, SIDE, reduced, tensor, tokens_after
from assay.evidence.detectors.learned_image import (
    BLOCKS,
    LATE,
    MIDDLE,
    WIDTH,
    Head,
    LearnedImage,
    Part,
    shipped_head,
)
from assay.evidence.models import catalogue, session_options
from assay.media.views import Image
from assay.types import Outcome

TOKENS = 197


@pytest.fixture(scope="module")
def sessions() -> dict[str, object]:
    """An encoder without weights: the picture's mean over 14 x 14 boxes, times the block and a ramp over the tokens."""
    onnx = pytest.importorskip("onnx", reason="the onnx package makes the tiny encoder")
    onnxruntime = pytest.importorskip("onnxruntime")
    helper = onnx.helper
    ramps = {
        f"ramp{block}": block * np.linspace(0.5, 1, TOKENS, dtype=np.float32).reshape(1, TOKENS, 1)
        for block in BLOCKS
    }
    tokens = [helper.make_node("Mul", ["flat", f"ramp{block}"], [tokens_after(block)]) for block in BLOCKS]
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["pixel_values"], ["boxes"], kernel_shape=[14, 14], strides=[14, 14]
            ),
            helper.make_node("Flatten", ["boxes"], ["flat"]),
            *tokens,
        ],
        "tiny",
        [helper.make_tensor_value_info("pixel_values", 1, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(tokens_after(block), 1, [1, TOKENS, WIDTH]) for block in BLOCKS],
        [onnx.numpy_helper.from_array(ramp, name) for name, ramp in ramps.items()],
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


def test_a_picture_within_borders_scores_as_it_does_without_them(detector: LearnedImage) -> None:
    inner = blobs(300, 400)
    whole = np.zeros((420, 400, 3), np.uint8)
    whole[60:360] = inner
    plain, bordered = detector.examine(Image(coded=inner)), detector.examine(Image(coded=whole))
    assert [r.code for r in bordered.reasons[1:]] == ["within_borders"]
    assert bordered.score == pytest.approx(plain.score, rel=0.02)


def head(look: float, surface: float, notable: float) -> Head:
    late, middle = (np.zeros(len(blocks) * WIDTH) for blocks in (LATE, MIDDLE))
    return Head(Part(late, look), Part(middle, surface), notable)


def test_the_words_follow_the_heads_notable_score_and_its_stronger_part(sessions: dict[str, object]) -> None:
    view = Image(coded=blobs(300, 400))
    for given, code in (
        (head(2.5, 0, 1.9), "learned_synthetic_like"),
        (head(1, 6, 1.9), "learned_texture_like"),
        (head(1, 6, 2.1), "learned_nothing"),
    ):
        finding = LearnedImage(sessions, given).examine(view)  # type: ignore[arg-type]
        assert finding.score == pytest.approx(2.0, abs=1e-9)
        assert finding.reasons[0].code == code


def test_late_blocks_give_their_class_token_and_middle_blocks_their_mean_patch(
    detector: LearnedImage,
) -> None:
    square = reduced(blobs(300, 400))
    late, middle = detector.features(square)
    boxes = tensor(square).reshape(3, 16, 14, 16, 14).mean(axis=(2, 4)).ravel()
    ramp = np.linspace(0.5, 1, TOKENS)
    assert np.allclose(late, np.concatenate([boxes * block * ramp[0] for block in LATE]), atol=1e-3)
    assert np.allclose(
        middle, np.concatenate([boxes * block * ramp[1:].mean() for block in MIDDLE]), atol=1e-3
    )


def test_the_catalogue_hands_out_the_blocks_that_are_read() -> None:
    assert set(catalogue()[ENCODER].outputs) >= {tokens_after(block) for block in BLOCKS}


def test_the_shipped_head_fits_the_encoder() -> None:
    shipped = shipped_head()
    assert shipped.late.weight.shape == (len(LATE) * WIDTH,)
    assert shipped.middle.weight.shape == (len(MIDDLE) * WIDTH,)
    assert all(
        np.isfinite(part.weight).all() and part.weight.any() for part in (shipped.late, shipped.middle)
    )
    assert np.isfinite([shipped.late.bias, shipped.middle.bias, shipped.notable]).all()


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
