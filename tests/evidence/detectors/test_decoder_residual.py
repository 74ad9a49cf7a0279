"""Traces of learned decoders: the network that ships on small pictures, and what is shown to it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from assay.evidence.detectors.decoder_residual import (
    MOST,
    NOTABLE,
    SMALLEST,
    WINDOW,
    DecoderResidual,
    shipped,
    windows,
)
from assay.media.views import Image
from assay.range import reconstruct
from assay.testing import images
from assay.testing.check import check_detector
from assay.types import Outcome

SHARED = Path(__file__).resolve().parents[4] / "shared"


class Brightness:
    """A network whose cells say how bright the window is; it counts its windows."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def run(self, _: None, feeds: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        x = feeds["x"]
        self.seen.append(x.shape)
        return [np.full((1, 1, -(-x.shape[2] // 8), -(-x.shape[3] // 8)), x.mean() / 255, np.float32)]


def stub() -> tuple[DecoderResidual, Brightness]:
    network = Brightness()
    return DecoderResidual(cast("Any", network)), network


@pytest.mark.shared
def test_the_shipped_network_scores_what_a_decoder_made_above_its_parent() -> None:
    detector = DecoderResidual()
    gaps = []
    photographs = sorted((SHARED / "data/images/bona_fide/camera").glob("*.jpg"))[::5]
    for path, decoder in zip(photographs, reconstruct.decoders(), strict=False):
        with Pillow.open(path) as opened:
            photo = np.asarray(opened.convert("RGB"))
        parent = np.ascontiguousarray(photo[200:520, 200:520])
        scores = [
            detector.examine(Image(coded=p)).score for p in (reconstruct.decoded(parent, decoder), parent)
        ]
        assert None not in scores
        gaps.append(cast("float", scores[0]) - cast("float", scores[1]))
    assert len(gaps) == 8
    assert sum(g > 0 for g in gaps) >= 7  # none of these decoders was learned from
    assert np.median(gaps) > 1


def test_it_keeps_the_promises_of_a_detector() -> None:
    check_detector(DecoderResidual())


def test_the_network_has_one_thread_and_is_opened_once() -> None:
    assert shipped() is shipped()
    assert shipped().get_session_options().intra_op_num_threads == 1


@pytest.mark.parametrize("shape", [(160, 200), (512, 512), (513, 700), (1000, 1300), (3000, 4000)])
def test_windows_are_equal_parts_and_no_more_than_a_few(shape: tuple[int, int]) -> None:
    pixels = np.zeros((*shape, 3), np.uint8)
    seen = windows(pixels)
    assert 1 <= len(seen) <= MOST
    assert all(max(w.shape[:2]) <= WINDOW for w in seen)
    if shape[0] * shape[1] <= WINDOW**2 * 2:
        assert sum(w.size for w in seen) == pixels.size


def test_of_many_windows_the_first_the_last_and_others_between_are_seen() -> None:
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    pixels[:, :, 0] = np.arange(3000)[:, None] // 500
    rows = [int(w[0, 0, 0]) for w in windows(pixels)]
    assert rows == sorted(rows)
    assert (rows[0], rows[-1]) == (0, 5)
    assert len(set(rows)) >= 5


def test_the_score_is_the_mean_over_cells_of_windows_of_any_size() -> None:
    detector, network = stub()
    pixels = images.noise(600, 300)
    finding = detector.examine(Image(coded=pixels))
    assert finding.score == pytest.approx(pixels.mean() / 255, abs=0.01)
    assert network.seen == [(1, 3, 300, 300), (1, 3, 300, 300)]


def test_reasons_follow_the_score() -> None:
    detector, _ = stub()
    assert detector.examine(Image(coded=images.noise(300, 300))).reasons[0].code == "decoder_nothing"
    always = SimpleNamespace(run=lambda *_: [np.full((1, 1, 4, 4), NOTABLE + 0.01, np.float32)])
    finding = DecoderResidual(cast("Any", always)).examine(Image(coded=images.noise(300, 300)))
    assert finding.score == pytest.approx(NOTABLE + 0.01)
    assert finding.reasons[0].code == "decoder_traces"


def test_within_borders_only_the_picture_is_seen() -> None:
    detector, network = stub()
    page = np.full((900, 1200, 3), 255, np.uint8)
    page[200:600, 300:800] = images.scene(500, 400, seed=3)
    detector.examine(Image(coded=page))
    assert len(network.seen) == 1
    assert network.seen[0][2] in range(384, 401)
    assert network.seen[0][3] in range(484, 501)


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (images.noise(SMALLEST - 1, 400), "too_small"),
        (images.noise(1, 1), "too_small"),
        (np.full((300, 300, 3), 90, np.uint8), "too_flat"),
    ],
)
def test_what_was_never_learned_is_not_applicable(pixels: NDArray[np.uint8], code: str) -> None:
    finding = DecoderResidual().examine(Image(coded=pixels))
    assert finding.outcome is Outcome.NOT_APPLICABLE
    assert finding.reasons[0].code == code
