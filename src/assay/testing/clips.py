"""Makers of small videos and sound tracks, encoded in memory. Everything is seeded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.testing.images import scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """What a made video is like."""

    codec: str = "libx264"
    container: str = "mp4"
    seconds: float = 2.0
    size: tuple[int, int] = (160, 120)  # width, height
    fps: int = 25
    gop: int = 12  # frames from one key frame to the next
    b_frames: int | None = None  # None: as the codec likes
    audio: str | None = None  # codec of a sound track
    rotation: int = 0  # degrees counter-clockwise that a player has to turn
    noise: int = 6  # amplitude of the sensor noise, in grey levels
    seed: int = 0


def make_video(video: Video | None = None, **options: Any) -> bytes:
    """Encode a camera that pans over a still scene. `options` are fields of `Video`."""
    import av

    what = video or Video(**options)
    file = io.BytesIO()
    with av.open(file, "w", format=what.container) as out:
        stream: Any = out.add_stream(what.codec, rate=what.fps, options=_fast(what))
        stream.width, stream.height = what.size
        stream.pix_fmt = "yuvj420p" if what.codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = what.gop
        stream.codec_context.thread_count = 1
        if what.b_frames is not None:
            stream.codec_context.max_b_frames = what.b_frames
        if what.rotation:
            stream.set_display_rotation(what.rotation)
        sound: Any = out.add_stream(what.audio, rate=48000) if what.audio else None
        for n, pixels in enumerate(pan(what)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, what.fps)
            out.mux(stream.encode(frame.reformat(format=stream.pix_fmt, threads=1)))
        out.mux(stream.encode(None))
        if sound is not None:
            _encode(out, sound, tone(what.seconds, rate_hz=48000, channels=2), 48000)
    return file.getvalue()


def pan(video: Video) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a made video, each (H, W, 3)."""
    width, height = video.size
    count = max(1, round(video.seconds * video.fps))
    still = scene(width + 64, height + 64, seed=video.seed)
    rng = np.random.default_rng(video.seed)
    grain = rng.integers(-video.noise, video.noise + 1, still.shape, dtype=np.int16)
    for n in range(count):
        x, y = (int(32 + 31 * f(2 * np.pi * n / (4 * video.fps))) for f in (np.sin, np.cos))
        shift = rng.integers(0, still.shape[0] - height, 2)  # the grain is new in every frame
        noisy = still[y : y + height, x : x + width] + np.roll(grain, shift, (0, 1))[:height, :width]
        yield np.clip(noisy, 0, 255).astype(np.uint8)


def make_audio(
    codec: str = "pcm_s16le",
    *,
    container: str = "wav",
    seconds: float = 2.0,
    rate_hz: int = 16000,
    channels: int = 1,
    samples: NDArray[np.float32] | None = None,
) -> bytes:
    """Encode a tone with its overtones, or `samples` (C, N) with full scale 1."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        layout = "mono" if channels == 1 else "stereo" if channels == 2 else f"{channels}c"
        stream = out.add_stream(codec, rate=rate_hz, layout=layout)
        _encode(
            out,
            stream,
            tone(seconds, rate_hz=rate_hz, channels=channels) if samples is None else samples,
            rate_hz,
        )
    return file.getvalue()


def tone(seconds: float, *, rate_hz: int = 16000, channels: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """Make a voiced, slowly gliding sound with a little breath; float32, shape (channels, N), full scale 1."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * (140 * t - 8 * np.cos(2 * np.pi * t / 3))
    voiced = sum(np.sin(k * phase) / k for k in range(1, 9))
    breath = 0.02 * rng.standard_normal((channels, t.size))
    return (0.2 * np.asarray(voiced) + breath).astype(np.float32)


def silence(seconds: float, *, rate_hz: int = 8000, container: str = "flac") -> bytes:
    """Encode nothing at all, however long: ten hours of silence are a few megabytes of FLAC."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(
            "flac" if container != "wav" else "pcm_s16le", rate=rate_hz, layout="mono"
        )
        block = np.zeros((1, rate_hz * 10), np.int16)
        left, at = round(seconds * rate_hz), 0
        while left > 0:
            frame = av.AudioFrame.from_ndarray(block[:, :left], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, at, Fraction(1, rate_hz)
            out.mux(stream.encode(frame))
            left -= frame.samples
            at += frame.samples
        out.mux(stream.encode(None))
    return file.getvalue()


def wav_header(frames: int, *, rate_hz: int = 8000) -> bytes:
    """Write the 44 bytes that begin a WAV file of mono 16-bit samples, whatever follows: for headers that lie."""
    size = min(frames * 2, 0xFFFFFFFF - 36)
    fields = (
        b"RIFF", (size + 36).to_bytes(4, "little"), b"WAVEfmt ", (16).to_bytes(4, "little"),
        (1).to_bytes(2, "little"), (1).to_bytes(2, "little"), rate_hz.to_bytes(4, "little"),
        (rate_hz * 2).to_bytes(4, "little"), (2).to_bytes(2, "little"), (16).to_bytes(2, "little"),
        b"data", size.to_bytes(4, "little"),
    )  # fmt: skip
    return b"".join(fields)


def _encode(out: Any, stream: Any, samples: NDArray[np.float32], rate_hz: int) -> None:
    """Hand samples (C, N) to an encoder, in its own format, a second at a time."""
    import av

    layout = stream.codec_context.layout.name
    resampler = av.AudioResampler(
        format=stream.codec_context.format, layout=layout, rate=stream.codec_context.sample_rate
    )
    fifo = av.AudioFifo()
    frame_size = stream.codec_context.frame_size or 1024
    for at in range(0, samples.shape[1], rate_hz):
        block = np.ascontiguousarray(samples[:, at : at + rate_hz], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, at, Fraction(1, rate_hz)
        for ready in resampler.resample(frame):
            fifo.write(ready)
        for piece in fifo.read_many(frame_size):
            out.mux(stream.encode(piece))
    for piece in (fifo.read(0, partial=True),):
        if piece is not None:
            out.mux(stream.encode(piece))
    out.mux(stream.encode(None))


def _fast(video: Video) -> dict[str, str]:
    quick = {
        "libx264": {"preset": "ultrafast"},
        "libx265": {"preset": "ultrafast", "x265-params": "pools=none:log-level=none"},
    }
    more = {"libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"}, "libsvtav1": {"preset": "12"}}
    return {**quick, **more}.get(video.codec, {})
