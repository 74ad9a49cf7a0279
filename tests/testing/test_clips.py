"""The makers of clips make what they say."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from assay.testing import clips


def test_a_video_has_its_frames_and_its_sound():
    data = clips.make_video(seconds=1, fps=10, gop=5, audio="aac", size=(64, 48))
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(video=0))
        assert len(container.streams.audio) == 1
    assert len(frames) == 10
    assert (frames[0].width, frames[0].height) == (64, 48)


def test_the_panned_frames_are_the_same_each_time():
    what = clips.Video(seconds=0.2, size=(32, 32))
    first, second = list(clips.pan(what)), list(clips.pan(what))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize(("channels", "rate_hz"), [(1, 8000), (2, 44100)])
def test_a_sound_has_its_rate_and_channels(channels, rate_hz):
    data = clips.make_audio(seconds=0.5, rate_hz=rate_hz, channels=channels)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.sample_rate, stream.codec_context.channels) == (rate_hz, channels)
        assert sum(f.samples for f in container.decode(stream)) == rate_hz // 2


def test_silence_is_short_in_bytes_and_long_in_seconds():
    data = clips.silence(600)
    assert len(data) < 200_000
    with av.open(io.BytesIO(data)) as container:
        assert container.duration == 600_000_000


def test_a_wav_header_says_what_it_is_told():
    assert len(clips.wav_header(10)) == 44
    assert clips.wav_header(1000)[40:44] == (2000).to_bytes(4, "little")
