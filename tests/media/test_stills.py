from __future__ import annotations

import io

import numpy as np
import pytest

from assay.errors import Failed, Refused, SampleError
from assay.media import stills
from assay.media.stills import read_stills
from assay.testing import images

LIMITS = {"pixels": 10**6, "frames": 100}
FRAMES = [images.flat(40, 30, value=10 * n) for n in range(20)]


def read(data, limits=LIMITS):
    notes = []
    return list(read_stills(io.BytesIO(data), limits, notes)), notes


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_sixteen_of_twenty_frames_are_read_evenly_spread(kind):
    found, notes = read(images.animation(FRAMES, kind, frame_ms=100))
    assert len(found) == 16
    assert found[0].coded.mean() < 6
    assert found[-1].coded.mean() > 184
    times = [s.time_s for s in found]
    assert times[0] == 0
    assert times[-1] == pytest.approx(1.9)
    assert np.diff(times).max() <= 0.2001
    assert {s.origin for s in found} == {"still"}
    assert not notes


def test_few_frames_are_all_read():
    assert len(read(images.animation(FRAMES[:3]))[0]) == 3


def test_a_picture_that_does_not_move_is_one_still():
    assert len(read(images.png(FRAMES[0]))[0]) == 1


def test_frames_over_the_limit_are_refused():
    with pytest.raises(Refused):
        read(images.animation(FRAMES), {"pixels": 100, "frames": 100})


def test_drawing_is_bounded(monkeypatch):
    monkeypatch.setattr(stills, "WALKED_PIXELS", 40 * 30 * 4)
    found, notes = read(images.animation(FRAMES))
    assert len(found) == 4
    assert "first 4 of 20" in notes[0]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_every_truncation_is_read_or_fails_typed(kind):
    data = images.animation([images.scene(40, 30, seed=n) for n in range(4)], kind)
    for twentieth in range(20):
        try:
            found, _ = read(data[: len(data) * twentieth // 20])
        except SampleError:
            continue
        assert 1 <= len(found) <= 4


def test_a_damaged_animation_keeps_the_frames_before():
    data = images.animation([images.scene(40, 30, seed=n) for n in range(4)], "GIF")
    found, notes = read(data[: len(data) * 6 // 10])
    assert 1 <= len(found) < 4
    assert notes


def test_rubbish_fails_typed():
    with pytest.raises(Failed):
        read(bytes(1000))


def test_pages_of_a_tiff_are_read():
    found, notes = read(images.animation(FRAMES[:5], "TIFF"))
    assert [int(s.coded[0, 0, 0]) for s in found] == [0, 10, 20, 30, 40]
    assert not notes
