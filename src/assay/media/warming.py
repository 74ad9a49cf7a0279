"""Import and try all that decoding needs, in the zygote: inside the jail nothing can be looked up any more."""

from __future__ import annotations

import importlib
import io
import pkgutil
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

# They print, look for a display, or download.
LEFT_OUT = (
    "PIL.__main__",
    "PIL.report",
    "PIL.ImageTk",
    "PIL.ImageQt",
    "PIL._tkinter_finder",
    "av.__main__",
    "av.datasets",
)
PICTURES = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
VIDEOS = (("libx264", "mp4"), ("libvpx-vp9", "webm"))
SOUNDS = (("pcm_s16le", "wav"), ("libmp3lame", "mp3"), ("libopus", "ogg"), ("flac", "flac"), ("aac", "ipod"))
LIMITS = {"pixels": 1 << 20, "frames": 64, "duration_s": 60.0, "streams": 4}


def warm() -> None:
    """Walk the codecs' modules, compile the kernels, and decode one tiny sample of each kind."""
    import av
    import PIL

    av.logging.set_level(None)  # nothing that a hostile file makes FFmpeg say reaches the terminal
    with warnings.catch_warnings(action="ignore"):
        _import_all(PIL)
        _import_all(av)
    from assay.media import credentials, triage  # noqa: F401
    from assay.media.audio import AudioReader
    from assay.media.image import preview, read_image
    from assay.media.stills import read_stills
    from assay.media.video import VideoReader

    credentials.prepare()
    nowhere = _Nowhere()
    for data in _pictures():
        view = read_image(io.BytesIO(data), LIMITS).view
        preview(view.coded, view.orientation)
        list(read_stills(io.BytesIO(data), LIMITS, []))
    for codec, container in VIDEOS:
        VideoReader(io.BytesIO(_video(codec, container)), LIMITS).window(nowhere)
    for codec, container in SOUNDS:
        AudioReader(io.BytesIO(_sound(codec, container)), LIMITS).window(nowhere)


class _Nowhere:
    """An arena that forgets."""

    used = 0

    def put(self, _array: Any) -> int:
        return 0


def _import_all(package: Any) -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name not in LEFT_OUT:
            try:
                importlib.import_module(module.name)
            except ImportError:
                continue  # an optional partner of it is not installed


def _pictures() -> Iterator[bytes]:
    """One picture of each kind, the JPEG both sequential and progressive, the GIF animated."""
    import pillow_heif
    from PIL import Image

    picture = Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3))
    for kind in PICTURES:
        yield _saved(picture, kind, {"speed": 10, "max_threads": 1} if kind == "AVIF" else {})
    yield _saved(picture, "JPEG", {"progressive": True})
    yield _saved(picture, "GIF", {"save_all": True, "append_images": [picture.rotate(90)]})
    file = io.BytesIO()
    small = pillow_heif.from_bytes("RGB", (64, 64), bytes(64 * 64 * 3))
    small.save(file, quality=10, enc_params={"preset": "ultrafast", "x265:pools": "none"})
    yield file.getvalue()


def _saved(picture: Any, kind: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _video(codec: str, container: str) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for n in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((48, 32), 40 * n, np.uint8), format="yuv420p")
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def _sound(codec: str, container: str) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=48000, layout="mono")
        kind = stream.codec_context.format.name
        dtype = {"flt": np.float32, "s32": np.int32}.get(kind.removesuffix("p"), np.int16)
        size = stream.codec_context.frame_size or 1024
        frame = av.AudioFrame.from_ndarray(np.zeros((1, size), dtype), format=kind, layout="mono")
        frame.sample_rate = 48000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()
