from __future__ import annotations

import io
import os
import random

import numpy as np
import pytest

from assay.errors import Failed, Refused, SampleError
from assay.media.audio import AudioReader, count_tracks
from assay.media.jail.arena import Arena, ArenaWriter
from assay.media.views import AudioClip, expect
from assay.testing import clips

LIMITS = {"pixels": 10**6, "streams": 4, "duration_s": 600.0, "frames": 100}


def read(data, *, stream=0, **changed):
    reader = AudioReader(io.BytesIO(data), LIMITS | changed, stream=stream)
    found = []
    while True:
        with Arena(128 << 20) as arena, ArenaWriter(os.dup(arena.fd)) as writer:
            answer = reader.window(writer)
            if answer.get("end"):
                return reader.described(), found, answer
            found.append(expect(AudioClip, answer["view"], arena.view(answer["used"])))


@pytest.mark.parametrize(
    ("codec", "container", "rate_hz", "channels", "error"),
    [
        ("pcm_s16le", "wav", 16000, 1, 1e-4),
        ("pcm_u8", "wav", 8000, 1, 1e-2),
        ("pcm_s24le", "wav", 48000, 2, 1e-6),
        ("pcm_f32le", "wav", 8000, 3, 1e-7),
        ("flac", "flac", 44100, 2, 1e-4),
    ],
)
def test_lossless_samples_come_back_at_full_scale_one(codec, container, rate_hz, channels, error):
    data = clips.make_audio(codec, container=container, rate_hz=rate_hz, channels=channels)
    described, found, end = read(data)
    made = clips.tone(2, rate_hz=rate_hz, channels=channels)
    assert found[0].samples.shape == made.shape
    assert np.abs(found[0].samples - made).max() <= error
    assert (described["rate_hz"], described["channels"]) == (rate_hz, channels)
    assert end["coverage"] == {"duration_s": 2.0, "unread": []}


@pytest.mark.parametrize(("codec", "container"), [("libmp3lame", "mp3"), ("aac", "ipod"), ("libopus", "ogg")])
def test_lossy_samples_are_as_loud_as_made(codec, container):
    _, found, end = read(clips.make_audio(codec, container=container, rate_hz=48000, channels=2))
    samples = np.concatenate([c.samples for c in found], axis=1)
    made = clips.tone(2, rate_hz=48000, channels=2)
    assert samples.dtype == np.float32
    assert np.std(samples) == pytest.approx(np.std(made), rel=0.1)
    assert end["coverage"]["duration_s"] == pytest.approx(2, abs=0.1)
    assert end["warnings"] == []


def test_the_sound_of_a_video_is_read():
    described, found, _ = read(clips.make_video(audio="aac"))
    assert described["codec"] == found[0].codec == "aac"
    assert found[0].media_type == "video/mp4"


def test_windows_last_thirty_seconds_and_follow_one_another():
    _, found, _ = read(clips.silence(70))
    assert [(c.start_s, c.samples.shape[1] / c.rate_hz) for c in found] == [(0, 30), (30, 30), (60, 10)]


def test_ten_hours_are_refused_by_the_header():
    data = clips.silence(40)
    header = bytearray(data)
    header[21] &= 0xF0  # 36 bits of the number of samples (RFC 9639, section 8.2)
    header[22:26] = (36000 * 8000).to_bytes(4, "big")
    with pytest.raises(Refused) as refused:
        read(bytes(header))
    assert refused.value.code == "over_duration"
    assert "600 minutes" in refused.value.message


def test_a_lying_header_stops_at_the_limit():
    data = bytearray(clips.silence(120))
    data[21] &= 0xF0
    data[22:26] = (8000).to_bytes(4, "big")
    _, found, end = read(bytes(data), duration_s=50.0)
    assert sum(c.samples.shape[1] for c in found) / 8000 == pytest.approx(50, abs=1)
    assert "which is the limit" in end["coverage"]["unread"][0]


def test_a_header_that_promises_more_than_there_is_is_a_warning():
    data = clips.make_audio("flac", container="flac", seconds=8)
    _, _, end = read(data[: len(data) // 4])
    assert any("header says 8.0 s" in w for w in end["warnings"])


def test_numbers_that_are_none_are_brought_within_bounds():
    samples = np.array([[np.nan, np.inf, -np.inf, 1e30, 0.5]], np.float32).repeat(400, axis=1)
    _, found, _ = read(clips.make_audio("pcm_f32le", samples=samples))
    assert np.isfinite(found[0].samples).all()
    assert np.abs(found[0].samples).max() <= 16


@pytest.mark.parametrize("data", [b"", b"RIFF", bytes(500), clips.wav_header(100)])
def test_what_holds_no_sound_is_undecodable(data):
    with pytest.raises(Failed) as failed:
        read(data)
    assert failed.value.code == "undecodable"


def test_a_track_that_is_not_there_is_undecodable():
    with pytest.raises(Failed):
        read(clips.make_video(seconds=0.5))
    with pytest.raises(Failed):
        read(clips.make_audio(seconds=0.5), stream=1)


def test_tracks_are_counted():
    assert count_tracks(io.BytesIO(clips.make_video(seconds=0.5, audio="aac")), LIMITS) == 1
    assert count_tracks(io.BytesIO(clips.make_video(seconds=0.5)), LIMITS) == 0


@pytest.mark.parametrize(
    ("codec", "container"),
    [("pcm_s16le", "wav"), ("flac", "flac"), ("libmp3lame", "mp3"), ("aac", "ipod"), ("libopus", "ogg")],
)
def test_hostile_sounds_are_read_or_fail_typed(codec, container):
    data = clips.make_audio(codec, container=container, rate_hz=48000, seconds=1)
    rng = random.Random(4)
    damaged = [data[: len(data) * k // 20] for k in range(20)]
    for _ in range(15):
        flipped = bytearray(data)
        for _ in range(rng.choice((1, 5, 50))):
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
        damaged.append(bytes(flipped))
    for bad in damaged:
        try:
            _, found, _ = read(bad)
        except SampleError:
            continue
        assert all(np.isfinite(c.samples).all() for c in found)
