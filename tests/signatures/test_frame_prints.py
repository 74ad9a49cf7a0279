from __future__ import annotations

import io
from collections.abc import Iterator

import av
import numpy as np
import pytest

from assay.media.views import upright
from assay.signatures.video import (
    SPACING_S,
    TOLERANCE_S,
    VideoPrint,
    match,
    sampled_times,
    shortlist,
    video_print,
)
from assay.testing.images import flat, scene
from assay.types import Reason

SIZE = (128, 96)
SECONDS = 24.0


def shown(time_s: float, seed: int = 0) -> np.ndarray:
    """A film: every two seconds another scene, over which the camera moves."""
    width, height = SIZE
    still = _scene(seed * 1000 + int(time_s // 2))
    x = int(16 * (time_s % 2) / 2)
    return still[:height, x : x + width]


_SCENES: dict[int, np.ndarray] = {}


def _scene(seed: int) -> np.ndarray:
    if seed not in _SCENES:
        _SCENES[seed] = scene(SIZE[0] + 16, SIZE[1], seed=seed)
    return _SCENES[seed]


def film(start_s: float, end_s: float, rate_hz: float, seed: int = 0) -> Iterator[tuple[float, np.ndarray]]:
    for n in range(int((end_s - start_s) * rate_hz)):
        yield n / rate_hz, shown(start_s + n / rate_hz, seed)


def re_encoded(frames: Iterator[tuple[float, np.ndarray]], rate_hz: int) -> list[tuple[float, np.ndarray]]:
    """Through H.264 at a low quality, and back, with the times that the container holds."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=rate_hz, options={"crf": "34", "preset": "ultrafast"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for _, pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def printed(frames) -> VideoPrint:
    found = video_print(frames)
    assert isinstance(found, VideoPrint)
    return found


@pytest.fixture(scope="module")
def stored() -> VideoPrint:
    return printed((t, shown(t)) for t in sampled_times(SECONDS).tolist()).stored()


def test_a_signature_holds_frames_at_fixed_times() -> None:
    assert sampled_times(1.1).tolist() == [0.125, 0.375, 0.625, 0.875]
    assert len(sampled_times(0.0)) == 1


def test_a_cut_is_found_where_it_was_cut_out(stored: VideoPrint) -> None:
    found = match(printed(film(7.3, 15.3, 2)), stored)
    assert found is not None
    assert found.offset_s == pytest.approx(7.3, abs=TOLERANCE_S)
    assert (found.speed, found.orientation) == (1.0, 1)
    assert found.agreeing == found.compared == 16
    assert found.distinct >= 4


@pytest.mark.parametrize(("rate_hz", "kept"), [(10, 5), (15, 11)])
def test_a_re_encoded_cut_at_another_frame_rate_is_found(stored: VideoPrint, rate_hz: int, kept: int) -> None:
    frames = re_encoded(film(5.1, 13.1, rate_hz), rate_hz)
    found = match(printed(frames[::kept]), stored)
    assert found is not None
    assert found.offset_s == pytest.approx(5.1, abs=TOLERANCE_S)
    assert found.agreeing >= 0.9 * found.compared


def test_film_that_runs_at_25_instead_of_24_frames_is_found(stored: VideoPrint) -> None:
    quick = ((t * 24 / 25, pixels) for t, pixels in film(2, 22, 2))
    found = match(printed(quick), stored)
    assert found is not None
    assert found.speed == pytest.approx(25 / 24)
    assert found.agreeing >= 38


def test_a_mirrored_cut_is_found_and_said_to_be_mirrored(stored: VideoPrint) -> None:
    found = match(printed((t, upright(p, 2)) for t, p in film(8, 16, 2)), stored)
    assert found is not None
    assert found.orientation == 2


def test_a_cut_within_another_film_is_found_with_its_place(stored: VideoPrint) -> None:
    around = [(t, p) for t, p in film(0, 6, 2, seed=7)]
    cut = [(6 + t, p) for t, p in film(10, 16, 2)]
    after = [(12 + t, p) for t, p in film(0, 6, 2, seed=8)]
    found = match(printed([*around, *cut, *after]), stored)
    assert found is None or found.agreeing >= 12  # half of what overlaps must agree


def test_another_film_is_not_found(stored: VideoPrint) -> None:
    assert match(printed(film(0, 20, 2, seed=5)), stored) is None


def test_a_still_shown_for_long_counts_as_one_distinct_frame() -> None:
    still = printed((t, shown(1.0)) for t in sampled_times(10).tolist()).stored()
    found = match(printed((float(t), shown(1.0)) for t in range(5)), still)
    assert found is not None
    assert found.agreeing == 5
    assert found.distinct == 1


def test_two_frames_are_too_few(stored: VideoPrint) -> None:
    assert match(printed(film(6, 7, 2)), stored) is None


def test_frames_without_structure_are_left_out_and_none_at_all_is_a_reason() -> None:
    some = printed([(0.0, flat(*SIZE)), (1.0, shown(1.0)), (2.0, flat(*SIZE))])
    assert some.times_s.tolist() == [1.0]
    none = video_print([(0.0, flat(*SIZE)), (1.0, flat(*SIZE))])
    assert isinstance(none, Reason)
    assert none.code == "no_frames"
    assert "2 frames" in none.text
    assert isinstance(video_print([]), Reason)


def test_frames_out_of_order_are_sorted() -> None:
    found = printed([(3.0, shown(3.0)), (1.0, shown(1.0))])
    assert found.times_s.tolist() == [1.0, 3.0]


def test_hits_of_an_index_vote_for_their_clip_and_its_offset() -> None:
    rng = np.random.default_rng(0)
    asked = np.arange(12) * 0.5
    true = asked + 100.0 + rng.uniform(-SPACING_S / 2, SPACING_S / 2, 12)
    stray = rng.uniform(0, 600, 40)
    times = np.concatenate([asked, rng.choice(asked, 40)])
    keys = np.concatenate([np.full(12, 7), rng.integers(0, 20, 40)])
    ranked = shortlist(times, keys, np.concatenate([true, stray]))
    key, offset, votes = ranked[0]
    assert key == 7
    assert votes >= 12
    assert offset == pytest.approx(100.0, abs=0.5)
    assert len({k for k, _, _ in ranked}) == len(ranked)


def test_one_asked_frame_votes_once_for_a_still() -> None:
    ranked = shortlist(np.zeros(50), np.ones(50, np.int64), np.full(50, 3.0))
    assert [(key, votes) for key, _, votes in ranked] == [(1, 1)]
