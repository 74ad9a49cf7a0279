from __future__ import annotations

import io

import av
import numpy as np
import pytest

from assay.errors import AssayError
from assay.range.laundering import launder_audio, names

RATE = 16_000


def tone(channels: int = 1, seconds: float = 1.0, rate_hz: int = RATE) -> np.ndarray:
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.tile((0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32), (channels, 1))


def decoded(data: bytes) -> tuple[np.ndarray, int, str]:
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("fltp", "mono", stream.rate)
        parts = [r.to_ndarray() for f in container.decode(stream) for r in resampler.resample(f)]
        return np.concatenate(parts, axis=1)[0], stream.rate, stream.codec_context.name


@pytest.mark.parametrize("name", names("audio"))
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_sound_arrives_the_same_each_time(name, channels) -> None:
    sound = tone(channels)
    first, again = (launder_audio(sound, RATE, name, seed=5) for _ in range(2))
    assert first.data == again.data
    assert first.mask is None
    heard, rate_hz, _ = decoded(first.data)
    assert abs(len(heard) / rate_hz - 1.0) < 0.1
    spectrum = np.abs(np.fft.rfft(heard))
    assert abs(np.argmax(spectrum) * rate_hz / len(heard) - 440) < 5


def test_each_has_its_form() -> None:
    assert decoded(launder_audio(tone(), RATE, "narrow", seed=0).data)[1:] == (8000, "pcm_mulaw")
    assert decoded(launder_audio(tone(), RATE, "wav", seed=0).data)[1:] == (RATE, "pcm_s16le")
    assert launder_audio(tone(), RATE, "opus", seed=0).data[:4] == b"OggS"


def test_mp3_takes_its_nearest_rate() -> None:
    assert decoded(launder_audio(tone(rate_hz=96_000), 96_000, "mp3", seed=0).data)[1] == 48_000


def test_a_picture_s_laundering_is_none_of_sound() -> None:
    with pytest.raises(AssayError, match="no laundering") as e:
        launder_audio(tone(), RATE, "social", seed=0)
    assert "opus" in e.value.hint


@pytest.mark.parametrize(("sound", "rate_hz"), [(np.zeros((1, 0), np.float32), 8000), (tone(), 0)])
def test_no_sound_is_refused(sound, rate_hz) -> None:
    with pytest.raises(ValueError, match="samples are"):
        launder_audio(sound, rate_hz, "wav", seed=0)
