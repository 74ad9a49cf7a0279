"""A decoder of real media for the tests: what the native libraries need must pass the filter."""

from __future__ import annotations

import contextlib
import io
import json
import os

import av
import numpy as np
import pillow_heif
from av.video.reformatter import VideoReformatter
from PIL import Image

IMAGES = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "avif": "AVIF",
    "heic": "HEIF",
    "tiff": "TIFF",
    "gif": "GIF",
}
pillow_heif.register_heif_opener()
CLIPS = {
    "mp4": ("mp4", "libx264"),
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
}


def picture(kind, size=(64, 48)):
    rng = np.random.default_rng(7)
    pixels = Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))
    out = io.BytesIO()
    pixels.save(out, IMAGES[kind])
    return out.getvalue()


def clip(kind):
    form, codec = CLIPS[kind]
    out = io.BytesIO()
    with av.open(out, "w", format=form) as box:
        if kind == "mp4":
            stream = box.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.thread_count = 1
            frames = [av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * n, np.uint8)) for n in range(5)]
        else:
            stream = box.add_stream(codec, rate=48000)
            stream.layout = "mono"
            tone = (np.sin(np.arange(48000) / 20) * 8000).astype(np.int16)[None]
            frames = [av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")]
            frames[0].sample_rate = 48000
        for frame in frames:
            box.mux(stream.encode(frame))
        box.mux(stream.encode(None))
    return out.getvalue()


def prepare():
    """Decode one of each kind, so that what is imported or looked up late is there."""
    pillow_heif.options.DECODE_THREADS = 1
    Image.init()
    for kind in IMAGES:
        decoded_image(io.BytesIO(picture(kind)))
    for kind in CLIPS:
        decoded_clip(io.BytesIO(clip(kind)))
    with contextlib.suppress(ValueError):
        credentials(io.BytesIO(picture("jpeg")), "image/jpeg")


def handle(message, fds):
    with os.fdopen(fds[0], "rb") as file:
        if message["op"] == "image":
            yield decoded_image(file)
        elif message["op"] == "clip":
            yield decoded_clip(file)
        else:
            yield credentials(file, message["media_type"])


def decoded_image(file):
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    return {"shape": list(pixels.shape), "mean": float(pixels.mean())}


def decoded_clip(file):
    frames = samples = 0
    reformatter = VideoReformatter()
    with av.open(file) as box:
        for stream in box.streams:
            stream.codec_context.thread_count = 1
        for frame in box.decode(*box.streams):
            if isinstance(frame, av.VideoFrame):
                reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                frames += 1
            else:
                samples += frame.samples
    return {"frames": frames, "samples": samples}


def credentials(file, media_type):
    import c2pa

    settings = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    context = (
        c2pa.Context(c2pa.Settings.from_json(json.dumps(settings))) if hasattr(c2pa, "Context") else None
    )
    try:
        reader = c2pa.Reader(media_type, file, context=context) if context else c2pa.Reader(media_type, file)
    except c2pa.C2paError as e:
        if "ManifestNotFound" in type(e).__name__ + str(e):
            return {"store": None}
        raise
    with reader:
        return {"store": json.loads(reader.json())}
