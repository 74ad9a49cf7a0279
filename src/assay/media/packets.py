"""The packets of a video's track, counted and timed without decoding them: what its header says is not believed."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from assay.errors import Failed, Refused
from assay.media import streams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MOST = 2_000_000  # packets of one video: nine hours at 60 frames a second
ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What a first pass over a video found."""

    times: NDArray[np.float64]  # seconds from the first frame shown, in decoding order
    start_s: float  # what a frame's own time has to be lessened by
    keys: NDArray[np.bool_]
    shown: NDArray[np.bool_]  # false: decoded for others' sake, by an edit list
    duration_s: float  # measured
    rate_hz: float
    size: tuple[int, int]  # width, height as coded, by the header
    codec: str
    media_type: str
    sounds: int  # sound tracks beside it
    warnings: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def opened_video(file: BinaryIO, limits: Mapping[str, float]) -> tuple[Any, Any]:
    """Open the container and find its video. A cover picture is none."""
    container = streams.opened(file, limits)
    for stream in container.streams.video:
        if not stream.disposition.value & ATTACHED_PICTURE and stream.codec_context is not None:
            return container, stream
    container.close()
    raise Failed(
        "it holds no video that can be decoded", code="undecodable", hint="It may be a sound track alone."
    )


def read_index(file: BinaryIO, limits: Mapping[str, float]) -> Index:
    """Read every packet's time, after judging what the header promises.

    Raises
    ------
    Refused
        For a size or duration over the limits, by the header.
    Failed
        If there is no video.
    """
    container, stream = opened_video(file, limits)
    with container:
        size = (int(stream.codec_context.width), int(stream.codec_context.height))
        check_pixels(size, limits)
        promised = streams.promised_s(container, stream)
        streams.check_duration(promised, limits)
        rate_hz = float(stream.average_rate or stream.guessed_rate or 0)
        warnings: list[str] = []
        times, keys, shown, whole = _timed(container, stream, rate_hz, limits["duration_s"], warnings)
        seen = times[shown]
        start_s = float(seen.min()) if seen.size else 0.0
        measured = float(np.ptp(seen)) + (1 / rate_hz if rate_hz > 0 else 0.0) if seen.size else promised
        if seen.size and promised and abs(promised - measured) > max(2.0, 0.2 * promised):
            warnings.append(f"its header says {promised:.1f} s of video, there are {measured:.1f} s")
        cut = f"The video goes on after {measured:.0f} s, which is the limit; the rest was not examined."
        return Index(
            times=times - start_s,
            start_s=start_s,
            keys=keys,
            shown=shown,
            duration_s=measured,
            rate_hz=rate_hz,
            size=size,
            codec=str(stream.codec_context.codec.canonical_name),
            media_type=streams.media_type(container),
            sounds=len(container.streams.audio),
            warnings=tuple(warnings),
            unread=() if whole else (cut,),
        )


def check_pixels(size: tuple[int, int], limits: Mapping[str, float]) -> None:
    """Refuse frames of more pixels than allowed."""
    if size[0] * size[1] > limits["pixels"]:
        raise Refused(
            f"its frames have more pixels than the limit ({size[0]} x {size[1]})",
            code="over_pixels",
            hint=f"raise limits.pixels (now {int(limits['pixels'])}) if such videos are expected",
        )


def _timed(
    container: Any, stream: Any, rate_hz: float, longest_s: float, warnings: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], bool]:
    """Times, key flags and whether shown of all packets, up to the limits, and whether that is all there is."""
    times, keys, shown = array("d"), bytearray(), bytearray()
    base = float(stream.time_base or 0) or 1e-3
    step = 1 / rate_hz if rate_hz > 0 else 0.04
    whole = True
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            stamp = packet.pts if packet.pts is not None else packet.dts
            time = stamp * base if stamp is not None else len(times) * step
            if (times and time - times[0] > longest_s) or len(times) >= MOST:
                whole = False
                break
            times.append(time)
            keys.append(bool(packet.is_keyframe))
            shown.append(not packet.is_discard)
    except streams.BROKEN as e:
        warnings.append(f"the video's packets end early ({str(e)[:120]})")
    key_flags, shown_flags = (np.frombuffer(bytes(b), np.bool_) for b in (keys, shown))
    return np.array(times, np.float64), key_flags, shown_flags, whole
