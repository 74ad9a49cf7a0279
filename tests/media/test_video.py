from __future__ import annotations

import io
import os
import random

import numpy as np
import pytest

from assay.errors import Failed, Refused, SampleError
from assay.media import video
from assay.media.jail.arena import Arena, ArenaWriter
from assay.media.video import VideoReader
from assay.media.views import VideoClip, expect, unpack
from assay.testing import clips

LIMITS = {"pixels": 10**6, "streams": 4, "duration_s": 600.0, "frames": 100}


def windows(reader):
    """All clips with their previews, and the end."""
    found = []
    while True:
        with Arena(64 << 20) as arena, ArenaWriter(os.dup(arena.fd)) as writer:
            answer = reader.window(writer)
            if answer.get("end"):
                return found, answer
            view = arena.view(answer["used"])
            shown = [(p["time_s"], unpack(p["picture"], view)) for p in answer["previews"]]
            found.append((expect(VideoClip, answer["view"], view), shown))


def read(data, **changed):
    reader = VideoReader(io.BytesIO(data), LIMITS | changed)
    found, end = windows(reader)
    return reader.described(), [c for c, _ in found], end


@pytest.mark.parametrize(
    ("codec", "container"),
    [
        ("libx264", "mp4"),
        ("libx264", "matroska"),
        ("libx265", "mov"),
        ("libvpx-vp9", "webm"),
        ("mpeg4", "avi"),
        ("mjpeg", "avi"),
    ],
)
def test_sixteen_frames_of_every_codec_are_read(codec, container):
    described, found, end = read(clips.make_video(codec=codec, container=container))
    assert described["frames_planned"] == sum(len(c.frames) for c in found) == 16
    assert (described["width"], described["height"]) == (160, 120)
    assert described["duration_s"] == pytest.approx(2, abs=0.1)
    assert end["coverage"]["unread"] == []
    assert end["warnings"] == []
    times = [t for c in found for t in c.times_s]
    assert times == sorted(times)
    assert {f.coded.shape for c in found for f in c.frames} == {(120, 160, 3)}


def test_windows_hold_eight_frames_at_most():
    _, found, _ = read(clips.make_video(seconds=2))
    assert [len(c.frames) for c in found] == [8, 8]


def test_windows_hold_so_many_bytes_at_most(monkeypatch):
    monkeypatch.setattr(video, "WINDOW_BYTES", 3 * 160 * 120 * 3)
    _, found, _ = read(clips.make_video(seconds=2))
    assert max(len(c.frames) for c in found) == 3
    monkeypatch.setattr(video, "WINDOW_BYTES", 1)
    _, found, _ = read(clips.make_video(seconds=2))
    assert {len(c.frames) for c in found} == {1}


def test_up_to_eight_previews_are_shown_with_their_times():
    found, _ = windows(VideoReader(io.BytesIO(clips.make_video(rotation=90)), LIMITS))
    shown = [s for _, previews in found for s in previews]
    assert len(shown) == 8
    assert shown[0][0] == 0
    assert {p.shape for _, p in shown} == {(160, 120, 3)}  # upright


def test_colours_come_back():
    what = clips.Video(seconds=0.5, noise=0)
    _, found, _ = read(clips.make_video(what))
    first = next(clips.pan(what))
    assert np.abs(found[0].frames[0].coded.astype(int) - first).mean() < 12


def test_frames_over_the_limit_are_not_decoded():
    described, _, _ = read(clips.make_video(seconds=4, gop=2), frames=5)
    assert described["frames_planned"] == 5


def test_a_long_video_is_refused_by_its_header():
    with pytest.raises(Refused):
        read(clips.make_video(), duration_s=1.0)


@pytest.mark.parametrize("data", [b"", bytes(1000), clips.make_audio(seconds=0.2)])
def test_what_holds_no_video_is_undecodable(data):
    with pytest.raises(Failed):
        read(data)


def test_sound_tracks_are_announced():
    described, _, _ = read(clips.make_video(seconds=0.5, audio="aac"))
    assert described["audio_streams"] == 1


@pytest.mark.parametrize(
    ("codec", "container"), [("libx264", "mp4"), ("libvpx-vp9", "webm"), ("mpeg4", "avi")]
)
def test_hostile_videos_are_read_or_fail_typed(codec, container):
    data = clips.make_video(codec=codec, container=container, seconds=1)
    rng = random.Random(3)
    damaged = [data[: len(data) * k // 20] for k in range(20)]
    for _ in range(10):
        flipped = bytearray(data)
        for _ in range(rng.choice((1, 5, 50))):
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
        damaged.append(bytes(flipped))
    read_some = 0
    for bad in damaged:
        try:
            _, found, _ = read(bad)
        except SampleError:
            continue
        read_some += bool(found)
    assert read_some
