"""Sound tracks, of audio files and of videos: windows of at most thirty seconds at the track's own rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from assay.errors import Failed
from assay.media import streams
from assay.media.views import AudioClip, pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from assay.media.streams import Room
    from assay.types import JSON

WINDOW_S = 30
WINDOW_BYTES = 64 << 20
CHANNELS = 16  # of a track; further ones are left out
LOUDEST = 16.0  # floating samples beyond it are cut: they would overflow what detectors compute
FULL_SCALE = {"u8": 1 << 7, "s16": 1 << 15, "s32": 1 << 31, "s64": 1 << 63}

Block = tuple[int, "NDArray[np.float32]"]  # rate, samples (C, N)


def count_tracks(file: BinaryIO, limits: Mapping[str, float]) -> int:
    """How many sound tracks a container has."""
    with streams.opened(file, limits) as container:
        return len(container.streams.audio)


class AudioReader:
    """One sound track: opened and judged at once, then read window by window."""

    def __init__(self, file: BinaryIO, limits: Mapping[str, float], *, stream: int = 0) -> None:
        self._longest_s = float(limits["duration_s"])
        self._container = streams.opened(file, limits)
        self.tracks = len(self._container.streams.audio)
        if not 0 <= stream < self.tracks:
            raise Failed(
                "it holds no sound track that can be decoded", code="undecodable", hint=streams.RESEND
            )
        self._stream: Any = self._container.streams.audio[stream]
        if self._stream.codec_context is None:
            raise Failed("its sound track has an unknown codec", code="undecodable", hint=streams.RESEND)
        self._stream.codec_context.thread_count = 1
        self._promised_s = streams.promised_s(self._container, self._stream)
        streams.check_duration(self._promised_s, limits)
        self._media_type = streams.media_type(self._container, sound=not self._container.streams.video)
        self._broken = 0
        self._read_s = 0.0
        self._warnings: dict[str, None] = {}  # in order, each once
        self._unread: list[str] = []
        self._blocks = self._bounded(self._decoded())
        self._rest: Block | None = next(self._blocks, None)
        if self._rest is None:
            raise Failed("no sound can be decoded from it", code="undecodable", hint=streams.RESEND)

    def described(self) -> JSON:
        """What is known before the first window is read."""
        context = self._stream.codec_context
        return {
            "duration_s": self._promised_s,
            "rate_hz": int(context.sample_rate or 0),
            "channels": int(context.channels or 0),
            "codec": str(context.codec.canonical_name),
            "audio_streams": self.tracks,
            "media_type": self._media_type,
        }

    def window(self, arena: Room) -> JSON:
        """Put the next samples into the arena and answer them as a clip, or the end with what was covered."""
        if self._rest is None:
            return self._end()
        start_s = self._read_s
        rate_hz, samples = self._gathered()
        self._read_s += samples.shape[1] / rate_hz
        clip = AudioClip(
            samples=samples, rate_hz=rate_hz, start_s=start_s, codec=str(self._stream.codec_context.codec.canonical_name),
            media_type=self._media_type,
        )  # fmt: skip
        return {"view": pack(clip, arena), "used": arena.used}

    def _gathered(self) -> Block:
        """Join blocks of one rate and number of channels to one window, and keep what is over for the next."""
        assert self._rest is not None
        rate_hz, first = self._rest
        room = max(1, min(WINDOW_S * rate_hz, WINDOW_BYTES // (4 * first.shape[0])))
        parts: list[NDArray[np.float32]] = []
        while (
            self._rest is not None
            and room
            and (self._rest[0], self._rest[1].shape[0]) == (rate_hz, first.shape[0])
        ):
            block = self._rest[1]
            parts.append(block[:, :room])
            over = block[:, room:]
            room -= parts[-1].shape[1]
            self._rest = (rate_hz, over) if over.shape[1] else next(self._blocks, None)
        return rate_hz, np.concatenate(parts, axis=1)

    def _end(self) -> JSON:
        warnings = list(self._warnings)
        if self._broken:
            warnings.append(f"{self._broken} damaged packets of the sound were passed over")
        if (
            self._promised_s
            and not self._unread
            and abs(self._promised_s - self._read_s) > max(2.0, 0.2 * self._promised_s)
        ):
            warnings.append(
                f"its header says {self._promised_s:.1f} s of sound, there are {self._read_s:.1f} s"
            )
        coverage = {"duration_s": self._read_s, "unread": self._unread}
        return {"end": True, "coverage": coverage, "warnings": warnings}

    def _bounded(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Stop where the samples themselves reach the limit, whatever the header says."""
        left_s = self._longest_s
        for rate_hz, samples in blocks:
            yield rate_hz, samples
            left_s -= samples.shape[1] / rate_hz
            if left_s <= 0:
                self._unread.append(
                    f"The sound goes on after {self._longest_s:.0f} s, which is the limit; the rest was not examined."
                )
                return

    def _decoded(self) -> Iterator[Block]:
        for packet in self._packets():
            try:
                frames = self._stream.codec_context.decode(packet)
            except streams.BROKEN:
                self._broken += packet is not None
                continue
            for frame in frames:
                block = self._block(frame)
                if block is not None:
                    yield block

    def _packets(self) -> Iterator[Any]:
        """All packets with data, and None to drain the decoder."""
        try:
            yield from (p for p in self._container.demux(self._stream) if p.size)
        except streams.BROKEN as e:
            self._warnings[f"the sound's packets end early ({str(e)[:120]})"] = None
        yield None

    def _block(self, frame: Any) -> Block | None:
        """One frame as float samples, shape (C, N)."""
        rate_hz, channels = int(frame.sample_rate), len(frame.layout.channels)
        if rate_hz <= 0 or channels <= 0 or frame.samples <= 0:
            return None
        values: NDArray[Any] = frame.to_ndarray()
        if not frame.format.is_planar:
            values = values.reshape(-1, channels).T
        if values.shape[0] > CHANNELS:
            values = values[:CHANNELS]
            self._warnings[f"only {CHANNELS} of {channels} channels were examined"] = None
        return rate_hz, self._scaled(values, frame.format.name.removesuffix("p"))

    def _scaled(self, values: NDArray[Any], kind: str) -> NDArray[np.float32]:
        """Bring samples of FFmpeg's format `kind` to full scale 1."""
        if kind in ("flt", "dbl"):
            loud = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=LOUDEST, neginf=-LOUDEST)
            return np.clip(loud, -LOUDEST, LOUDEST, out=loud)
        if kind == "u8":
            return (values.astype(np.float32) - np.float32(128)) / np.float32(128)
        return values.astype(np.float32) / np.float32(FULL_SCALE[kind])
