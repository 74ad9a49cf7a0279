"""Opening what FFmpeg reads: the header is judged before anything is decoded, one thread, no outside references."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import av
import av.container

from assay.errors import Failed, Refused
from assay.media.views import Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

# Demuxers of the media that Assay reads; no play lists, which name other files.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpeg,mpegts,mpegvideo,h264,hevc,ivf,"
    "wav,w64,aiff,au,caf,flac,mp3,aac,ogg,amr"
)
MEDIA_TYPES = {"avi": "video/x-msvideo", "matroska": "video/x-matroska", "mov": "video/mp4"}
RESEND = "ask the sender for the complete file"

# What PyAV raises on hostile bytes.
BROKEN = (
    av.FFmpegError, OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, EOFError,
    NotImplementedError, RuntimeError, struct.error,
)  # fmt: skip


class Room(Writer, Protocol):
    """Where a window's arrays go: an arena that counts what is used."""

    @property
    def used(self) -> int: ...


def opened(file: BinaryIO, limits: Mapping[str, float]) -> av.container.InputContainer:
    """Open a container and judge the number of its streams.

    Raises
    ------
    Refused
        If it has more streams than allowed.
    Failed
        If FFmpeg does not recognise it.
    """
    file.seek(0)
    try:
        container = av.open(
            file, "r", options={"format_whitelist": DEMUXERS, "max_pixels": str(int(limits["pixels"]))},
            metadata_errors="replace",
        )  # fmt: skip
    except BROKEN as e:
        raise undecodable(e) from e
    if len(container.streams) > limits["streams"]:
        raise Refused(
            f"it has {len(container.streams)} streams",
            code="over_streams",
            hint=f"raise limits.streams (now {int(limits['streams'])}) if such media are expected",
        )
    return container


def promised_s(container: av.container.InputContainer, stream: Any) -> float:
    """Duration in seconds by the header, of the stream or else of the container; 0 where neither says."""
    if stream.duration and stream.time_base:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, float(container.duration or 0) / 1e6)  # AV_TIME_BASE


def check_duration(seconds: float, limits: Mapping[str, float]) -> None:
    """Refuse what the header itself calls too long."""
    if seconds > limits["duration_s"]:
        raise Refused(
            f"it lasts {seconds / 60:.0f} minutes by its header",
            code="over_duration",
            hint=f"raise limits.duration_s (now {int(limits['duration_s'])}) if such media are expected",
        )


def undecodable(error: BaseException) -> Failed:
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
    return Failed(f"no sound or video can be read from it ({text})", code="undecodable", hint=RESEND)


def media_type(container: av.container.InputContainer, *, sound: bool = False) -> str:
    """The media type of a container, as near as FFmpeg's name of its format tells."""
    name = str(container.format.name).split(",")[0]
    if sound:
        return {"mov": "audio/mp4", "mp3": "audio/mpeg", "matroska": "audio/webm"}.get(name, f"audio/{name}")
    return MEDIA_TYPES.get(name, f"video/{name}")
