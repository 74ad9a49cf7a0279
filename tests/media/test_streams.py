from __future__ import annotations

import io

import av
import pytest

from assay.errors import Failed, Refused
from assay.media import streams
from assay.testing import clips

LIMITS = {"pixels": 10**6, "streams": 2, "duration_s": 60.0, "frames": 100}


def test_a_container_is_opened_and_named():
    with streams.opened(io.BytesIO(clips.make_video(seconds=1)), LIMITS) as container:
        assert streams.media_type(container) == "video/mp4"
        assert streams.promised_s(container, container.streams.video[0]) == pytest.approx(1)


def test_too_many_streams_are_refused():
    data = clips.make_video(seconds=0.5, audio="aac")
    with pytest.raises(Refused) as refused:
        streams.opened(io.BytesIO(data), LIMITS | {"streams": 1})
    assert refused.value.code == "over_streams"


@pytest.mark.parametrize("data", [b"", b"x", bytes(4000), b"RIFF\xff\xff\xff\xffAVI "])
def test_what_is_no_medium_is_undecodable(data):
    with pytest.raises(Failed) as failed:
        streams.opened(io.BytesIO(data), LIMITS)
    assert failed.value.code == "undecodable"


def test_a_play_list_names_no_file_that_is_opened(tmp_path):
    target = tmp_path / "target.mp4"
    target.write_bytes(clips.make_video(seconds=0.5))
    for text in (f"#EXTM3U\n#EXTINF:1,\nfile://{target}\n", f"ffconcat version 1.0\nfile '{target}'\n"):
        with pytest.raises(Failed):
            streams.opened(io.BytesIO(text.encode()), LIMITS)


def test_a_duration_over_the_limit_is_refused():
    with pytest.raises(Refused) as refused:
        streams.check_duration(61, LIMITS)
    assert refused.value.code == "over_duration"
    streams.check_duration(60, LIMITS)


def test_every_name_of_the_allow_list_is_one_that_ffmpeg_knows():
    known = {n for name in av.formats_available for n in name.split(",")}
    assert set(streams.DEMUXERS.split(",")) <= known
