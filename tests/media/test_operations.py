"""The decoder's requests and answers: called directly, and once more inside the jail."""

from __future__ import annotations

import contextlib
import os
import random
import zlib
from pathlib import Path

import numpy as np
import pytest

from assay.errors import AssayError, Failed, Refused, SampleError
from assay.media import operations
from assay.media.jail.arena import Arena
from assay.media.jail.process import DECODER, Zygote
from assay.media.operations import Server
from assay.media.views import AudioClip, Container, Image, VideoClip, expect, unpack
from assay.testing import clips, images
from assay.types import sha256_of

LIMITS = {
    "pixels": 10**7,
    "streams": 4,
    "duration_s": 600.0,
    "frames": 100,
    "depth": 4,
    "members": 10,
    "unpacked_bytes": 1 << 30,
    "ratio": 200.0,
}
SCENE = images.scene(90, 60)


def memfd(data):
    fd = os.memfd_create("sample")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class Direct:
    """Asks a server in this process."""

    def __init__(self, data):
        self.server = Server()
        self.fds = [memfd(data)]

    def ask(self, message, arena=None):
        given = [*self.fds, *([os.dup(arena.fd)] if arena else [])]
        self.fds = []
        return list(self.server.handle({"limits": LIMITS} | message, given))

    def close(self):
        for fd in self.fds:
            os.close(fd)
        if self.server._opened:
            self.server._opened.file.close()


class Jailed:
    """Asks a child of the zygote."""

    def __init__(self, zygote, data):
        self.child = zygote.spawn()
        self.fds = [memfd(data)]
        self.sample = self.fds[0]

    def ask(self, message, arena=None):
        given = [*self.fds, *([arena.fd] if arena else [])]
        self.fds = []
        return list(self.child.stream({"limits": LIMITS} | message, given, timeout_s=60))

    def close(self):
        os.close(self.sample)
        return self.child.close()


@pytest.fixture(scope="module")
def zygote():
    serving = DECODER.serving("assay.media.operations:handle")
    with Zygote("assay.media.operations:prepare", serving) as z:
        yield z


@pytest.fixture(params=["direct", "jailed"])
def decoder(request):
    @contextlib.contextmanager
    def opened(data):
        if request.param == "direct":
            worker = Direct(data)
        else:
            worker = Jailed(request.getfixturevalue("zygote"), data)
        try:
            yield worker
        finally:
            worker.close()

    return opened


PICTURES = {
    "jpeg": images.jpeg(SCENE, orientation=6),
    "progressive": images.jpeg(SCENE, progressive=True),
    "cmyk": images.cmyk_jpeg(SCENE),
    "png": images.png(SCENE),
    "png16": images.png16(SCENE.astype(np.uint16) * 257),
    "webp": images.webp(SCENE),
    "gif": images.encoded(SCENE, "GIF"),
    "tiff": images.encoded(SCENE, "TIFF", compression="tiff_lzw"),
    "bmp": images.encoded(SCENE, "BMP"),
    "avif": images.encoded(SCENE, "AVIF"),
    "heic": images.heic(SCENE),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_crosses_as_a_view_with_its_preview(decoder, kind):
    with decoder(PICTURES[kind]) as worker, Arena(64 << 20) as arena:
        (answer,) = worker.ask({"op": "image"}, arena)
        seen = arena.view(answer["used"])
        view = expect(Image, answer["view"], seen)
        small = unpack(answer["preview"], seen)
        assert view.upright.shape == small.shape == ((90, 60, 3) if kind == "jpeg" else (60, 90, 3))
        assert len(view.planes) == {"jpeg": 3, "progressive": 3, "cmyk": 4}.get(kind, 0)
        assert answer["warnings"] == []
        assert answer["frames"] == 1


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "cmyk", "png"])
def test_coefficients_that_were_put_off_are_those_of_reading_all_at_once(decoder, kind):
    with decoder(PICTURES[kind]) as worker, Arena(64 << 20) as arena:
        (answer,) = worker.ask({"op": "image"}, arena)
        whole = expect(Image, answer["view"], arena.view(answer["used"]))
        pixels = whole.coded.copy()
        planes = [p.coefficients.copy() for p in whole.planes]
    with decoder(PICTURES[kind]) as worker, Arena(64 << 20) as arena:
        (first,) = worker.ask({"op": "image", "planes": False}, arena)
        assert first["pending"] == bool(planes)
        assert first["view"]["planes"] == []
        used = first["used"]
        view = dict(first["view"])
        if planes:
            (then,) = worker.ask({"op": "planes", "used": used}, arena)
            view["planes"], used = then["planes"], then["used"]
        seen = expect(Image, view, arena.view(used))
        assert (seen.coded == pixels).all()
        assert len(seen.planes) == len(planes)
        assert all((a.coefficients == b).all() for a, b in zip(seen.planes, planes, strict=True))


def test_coefficients_that_were_not_put_off_cannot_be_asked_for(decoder):
    with decoder(PICTURES["png"]) as worker, Arena(64 << 20) as arena:
        worker.ask({"op": "image"}, arena)
        with pytest.raises(AssayError, match="no coefficients were put off"):
            worker.ask({"op": "planes", "used": 0}, arena)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_later_frames_of_an_animation_are_members(decoder, kind):
    frames = [images.flat(40, 30, value=20 * n) for n in range(5)]
    with decoder(images.animation(frames, kind)) as worker, Arena(16 << 20) as arena:
        worker.ask({"op": "unpack", "media_type": f"image/{kind.lower()}"})
        found = []
        while not (answer := worker.ask({"op": "member"}, arena)[0]).get("end"):
            found.append(answer)
    assert len(found) == 4
    assert all(member["problem"] is None for member in found)


@pytest.mark.parametrize(
    ("codec", "container"),
    [("libx264", "mp4"), ("libx265", "mp4"), ("libvpx-vp9", "webm"), ("mpeg4", "avi"), ("mjpeg", "avi")],
)
def test_a_video_is_opened_and_read_window_by_window(decoder, codec, container):
    with decoder(clips.make_video(codec=codec, container=container, seconds=1)) as worker:
        (opened,) = worker.ask({"op": "video"})
        frames = 0
        while True:
            with Arena(16 << 20) as arena:
                (answer,) = worker.ask({"op": "window"}, arena)
                if answer.get("end"):
                    break
                frames += len(expect(VideoClip, answer["view"], arena.view(answer["used"])).frames)
        assert frames == opened["frames_planned"] == answer["coverage"]["frames_examined"] == 16


@pytest.mark.parametrize(
    ("codec", "container"),
    [("pcm_s16le", "wav"), ("flac", "flac"), ("libmp3lame", "mp3"), ("aac", "ipod"), ("libopus", "ogg")],
)
def test_a_sound_is_opened_and_read_window_by_window(decoder, codec, container):
    with decoder(clips.make_audio(codec, container=container, rate_hz=48000)) as worker:
        (opened,) = worker.ask({"op": "audio"})
        assert opened["audio_streams"] == 1
        with Arena(16 << 20) as arena:
            (answer,) = worker.ask({"op": "window"}, arena)
            clip = expect(AudioClip, answer["view"], arena.view(answer["used"]))
            assert clip.samples.shape[1] == pytest.approx(96000, abs=5000)
        with Arena(16 << 20) as arena:
            assert worker.ask({"op": "window"}, arena)[0]["end"]


def test_frames_and_then_sound_of_one_video(decoder):
    with decoder(clips.make_video(seconds=1, audio="aac")) as worker:
        assert worker.ask({"op": "video"})[0]["audio_streams"] == 1
        assert worker.ask({"op": "audio"})[0]["codec"] == "aac"
        with Arena(16 << 20) as arena:
            assert worker.ask({"op": "window"}, arena)[0]["view"]["$view"] == "AudioClip"


def test_a_silent_video_has_no_track_where_sound_is_optional(decoder):
    with decoder(clips.make_video(seconds=1)) as worker:
        assert worker.ask({"op": "audio", "optional": True}) == [{"audio_streams": 0}]


def test_triage_reads_the_container(decoder):
    data = PICTURES["jpeg"]
    message = {"op": "triage", "media_type": "image/jpeg", "size": len(data), "sha256": sha256_of(data)}
    with decoder(data) as worker:
        (answer,) = worker.ask(message | {"trust": {}})
        assert expect(Container, answer["container"], memoryview(b"")).width == 90


def test_a_bomb_is_refused(decoder):
    data = images.png_from_chunks(30_000, 30_000, zlib.compress(bytes(1000)), depth=1, colour=0)
    with decoder(data) as worker, Arena(1 << 20) as arena, pytest.raises(Refused) as refused:
        worker.ask({"op": "image"}, arena)
    assert refused.value.code == "over_pixels"


def test_a_picture_larger_than_its_arena_fails_typed(decoder):
    with decoder(PICTURES["png"]) as worker, Arena(4096) as arena, pytest.raises(Failed) as failed:
        worker.ask({"op": "image"}, arena)
    assert failed.value.code == "over_memory"


@pytest.mark.parametrize("kind", PICTURES)
def test_hostile_pictures_neither_crash_nor_hang_a_worker(zygote, kind):
    rng = random.Random(11)
    for _ in range(6):
        data = bytearray(PICTURES[kind])
        for _ in range(rng.choice((1, 8, 60))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        worker = Jailed(zygote, bytes(data[: rng.randrange(len(data) // 2, len(data) + 1)]))
        try:
            with Arena(64 << 20) as arena:
                worker.ask({"op": "image"}, arena)
        except SampleError as e:
            assert e.code in (
                "undecodable",
                "over_pixels",
                "over_memory",
            )  # not worker_crashed, not decoder_error
        finally:
            worker.close()


def test_the_zygote_has_one_thread_and_all_layers(zygote):
    zygote.spawn().close()
    assert zygote.warnings == []


def test_requests_that_make_no_sense_are_answered_typed():
    server = Server()
    for message, fds, code in (
        ({"op": "nonsense"}, [], "unknown_operation"),
        ({"op": "image"}, [], "no_sample"),
        ({"op": "image", "limits": LIMITS}, [memfd(PICTURES["png"])], "no_arena"),
        ({"op": "window"}, [], "nothing_opened"),
    ):
        with pytest.raises(AssayError) as error:
            list(server.handle(message, fds))
        assert error.value.code == code
    server._opened.file.close()


def test_descriptors_are_closed_after_use():
    before = len(list(Path("/proc/self/fd").iterdir()))
    worker = Direct(PICTURES["png"])
    for _ in range(5):
        with Arena(1 << 20) as arena:
            worker.ask({"op": "image"}, arena)
    worker.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_every_operation_is_in_the_table():
    assert {"triage", "image", "video", "audio", "window", "unpack", "member"} <= set(operations.OPERATIONS)
