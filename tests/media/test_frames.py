from __future__ import annotations

import io

import numpy as np
import pytest

from assay.media.frames import FrameSource
from assay.media.sampling import Group
from assay.testing import clips

LIMITS = {"pixels": 10**6, "streams": 4, "duration_s": 60.0, "frames": 100}


def decoded(data, *groups, **options):
    source = FrameSource(io.BytesIO(data), LIMITS, groups, "video/mp4", **options)
    return list(source), source


def test_a_key_frame_is_decoded_alone():
    data = clips.make_video(seconds=1, fps=10, gop=5, b_frames=0)
    frames, _ = decoded(data, Group(5, 5, (0.5,)))
    assert [f.time_s for f in frames] == [0.5]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9", "mpeg4"])
def test_frames_in_between_are_the_ones_asked_for(codec):
    what = clips.Video(codec=codec, container="matroska", seconds=1, fps=10, gop=10, b_frames=2, noise=0)
    frames, _ = decoded(clips.make_video(what), Group(0, 9, (0.0, 0.3, 0.7)))
    assert [f.time_s for f in frames] == pytest.approx([0.0, 0.3, 0.7])
    made = list(clips.pan(what))
    for frame, n in zip(frames, (0, 3, 7), strict=True):
        nearest = min(range(10), key=lambda k: np.abs(made[k].astype(int) - frame.coded).mean())
        assert nearest == n


def test_frames_of_skipped_groups_do_not_leak():
    data = clips.make_video(seconds=3, fps=10, gop=5)
    frames, source = decoded(data, Group(0, 0, (0.0,)), Group(20, 20, (2.0,)))
    assert [f.time_s for f in frames] == pytest.approx([0.0, 2.0])
    assert source.broken == 0


@pytest.mark.parametrize(("degrees", "orientation"), [(0, 1), (90, 8), (-90, 6), (180, 3)])
def test_the_display_matrix_becomes_an_orientation(degrees, orientation):
    data = clips.make_video(seconds=0.5, rotation=degrees)
    frames, _ = decoded(data, Group(0, 0, (0.0,)))
    assert frames[0].orientation == orientation
    assert frames[0].origin == "frame"


def test_damaged_packets_are_counted_and_passed_over():
    data = bytearray(clips.make_video(codec="mjpeg", container="avi", seconds=2, fps=10))
    at = data.index(b"00dc", data.index(b"movi")) + 8
    data[at : at + 300] = bytes(300)
    frames, source = decoded(bytes(data), *(Group(n, n, (n / 10,)) for n in range(20)))
    assert source.broken >= 1
    assert len(frames) >= 15
