"""Video: sampled frames with their times, in bounded windows.

A first pass reads the packets without decoding them, so that duration and number of frames are counted and not believed;
a second one decodes what `sampling` has chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from assay.errors import Failed
from assay.media import sampling, streams
from assay.media.frames import FrameSource
from assay.media.image import preview
from assay.media.packets import read_index
from assay.media.views import Image, VideoClip, pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.media.streams import Room
    from assay.types import JSON

WINDOW_FRAMES = 8
WINDOW_BYTES = 128 << 20
PREVIEWS = 8


class VideoReader:
    """One video: opened, counted and planned at once, then read window by window."""

    def __init__(self, file: BinaryIO, limits: Mapping[str, float], *, every_s: float = 0.0) -> None:
        """Plan what is read: as `sampling.planned` says, or a frame every so many seconds."""
        self._index = read_index(file, limits)
        times, keys, shown_ones = self._index.times, self._index.keys, self._index.shown
        most = int(limits["frames"])
        if every_s > 0:
            groups = sampling.dense(times, keys, every_s, most=most, shown=shown_ones)
        else:
            groups = sampling.planned(times, keys, most=most, shown=shown_ones)
        self.planned = sum(len(g.times) for g in groups)
        shown = np.linspace(0, self.planned - 1, min(PREVIEWS, self.planned)).round().astype(int)
        self._shown = frozenset(shown.tolist())
        self._source = FrameSource(file, limits, groups, self._index.media_type, self._index.start_s)
        self._frames = iter(self._source)
        self._next = next(self._frames, None)
        self._examined = 0
        if self._next is None:
            raise Failed("no frame of the video can be decoded", code="undecodable", hint=streams.RESEND)

    def described(self) -> JSON:
        """What is known before the first window is read."""
        index = self._index
        return {
            "duration_s": index.duration_s,
            "width": index.size[0],
            "height": index.size[1],
            "codec": index.codec,
            "rate_hz": index.rate_hz,
            "frames": len(index.times),
            "frames_planned": self.planned,
            "audio_streams": index.sounds,
            "media_type": index.media_type,
        }

    def window(self, arena: Room) -> JSON:
        """Put the next frames into the arena and answer them as a clip, or the end with what was covered."""
        if self._next is None:
            return self._end()
        frames: list[Image] = []
        previews: list[JSON] = []
        size = 0
        while self._next is not None and len(frames) < WINDOW_FRAMES:
            size += self._next.coded.nbytes
            if frames and size > WINDOW_BYTES:
                break
            if self._examined in self._shown:
                small = preview(self._next.coded, self._next.orientation)
                previews.append({"time_s": self._next.time_s, "picture": pack(small, arena)})
            frames.append(self._next)
            self._examined += 1
            self._next = next(self._frames, None)
        index = self._index
        clip = VideoClip(
            frames=tuple(frames), duration_s=index.duration_s, rate_hz=index.rate_hz, codec=index.codec,
            media_type=index.media_type,
        )  # fmt: skip
        return {"view": pack(clip, arena), "previews": previews, "used": arena.used}

    def _end(self) -> JSON:
        index = self._index
        warnings = list(index.warnings)
        if self._source.broken:
            warnings.append(f"{self._source.broken} damaged packets of the video were passed over")
        unread = list(index.unread)
        if self._examined < self.planned:
            unread.append(
                f"{self.planned - self._examined} of {self.planned} chosen frames could not be decoded."
            )
        coverage = {
            "frames": len(index.times),
            "frames_examined": self._examined,
            "duration_s": index.duration_s,
            "unread": unread,
        }
        return {"end": True, "coverage": coverage, "warnings": warnings}
