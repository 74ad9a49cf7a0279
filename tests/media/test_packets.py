from __future__ import annotations

import io

import numpy as np
import pytest

from assay.errors import Failed, Refused
from assay.media import packets
from assay.testing import clips

LIMITS = {"pixels": 10**6, "streams": 4, "duration_s": 60.0, "frames": 100}


def index(data, **changed):
    return packets.read_index(io.BytesIO(data), LIMITS | changed)


def test_every_packet_is_timed_and_key_frames_are_known():
    found = index(clips.make_video(seconds=2, fps=10, gop=5, b_frames=0))
    assert np.allclose(np.sort(found.times), np.arange(20) / 10)
    assert np.flatnonzero(found.keys).tolist() == [0, 5, 10, 15]
    assert found.duration_s == pytest.approx(2)
    assert (found.size, found.codec, found.sounds) == ((160, 120), "h264", 0)


def test_times_begin_at_nought_wherever_the_stream_does():
    found = index(clips.make_video(seconds=1, container="mpegts", b_frames=3))
    assert found.times.min() == 0
    assert found.start_s > 0


def test_large_frames_are_refused_by_the_header():
    with pytest.raises(Refused) as refused:
        index(clips.make_video(seconds=0.5), pixels=160 * 120 - 1)
    assert refused.value.code == "over_pixels"


def test_long_videos_are_refused_by_the_header():
    with pytest.raises(Refused) as refused:
        index(clips.make_video(seconds=3), duration_s=2.0)
    assert refused.value.code == "over_duration"


def test_a_header_that_makes_the_video_too_short_is_found_out():
    data = bytearray(clips.make_video(seconds=6, container="avi", codec="mpeg4", fps=10))
    frames = data.index(b"strh") + 8 + 32  # dwLength of the stream
    data[frames : frames + 4] = (10).to_bytes(4, "little")
    found = index(bytes(data), duration_s=4.0)
    assert found.times.max() <= 4
    assert "which is the limit" in found.unread[0]


def test_a_header_that_makes_the_video_too_long_is_a_warning():
    data = clips.make_video(seconds=4, container="matroska")
    found = index(data[: len(data) // 3])
    assert found.duration_s < 2
    assert any("header says" in w for w in found.warnings)


def test_sound_with_a_cover_is_no_video():
    with pytest.raises(Failed) as failed:
        index(clips.make_audio("flac", container="flac", seconds=0.5))
    assert failed.value.code == "undecodable"
