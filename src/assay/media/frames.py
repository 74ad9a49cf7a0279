"""The chosen frames of a video, decoded by one thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from av.video.reformatter import Colorspace, VideoReformatter

from assay.media import packets, streams
from assay.media.views import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assay.media.sampling import Group

EARLY_S = 1e-6  # rounding of times
TURNS = {90: 8, -90: 6, 180: 3, -180: 3, 270: 6, -270: 8}  # degrees counter-clockwise to EXIF orientation
UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED


@dataclass(slots=True)
class FrameSource:
    """Decodes groups of packets and keeps the frames at or after the wanted times."""

    file: BinaryIO
    limits: Mapping[str, float]
    groups: Sequence[Group]
    media_type: str
    start_s: float = 0.0  # subtracted from the stream's times
    broken: int = 0  # packets that could not be decoded

    def __iter__(self) -> Iterator[Image]:
        container, stream = packets.opened_video(self.file, self.limits)
        context = stream.codec_context
        context.thread_count = 1
        context.options = {"max_pixels": str(int(self.limits["pixels"]))}
        reformatter = VideoReformatter()
        fed = self._numbered(container, stream)
        with container:
            number, packet = next(fed, (-1, None))
            for group in self.groups:
                wanted = list(group.times)
                while packet is not None and number <= group.last:
                    if number >= group.first:
                        yield from self._kept(self._decoded(context, packet), wanted, reformatter)
                    number, packet = next(fed, (-1, None))
                yield from self._kept(self._decoded(context, None), wanted, reformatter)
                context.flush_buffers()
                if packet is None:
                    return

    def _numbered(self, container: Any, stream: Any) -> Iterator[tuple[int, Any]]:
        try:
            yield from enumerate(p for p in container.demux(stream) if p.size)
        except streams.BROKEN:
            return  # the index has said so

    def _decoded(self, context: Any, packet: Any) -> list[Any]:
        try:
            return list(context.decode(packet))
        except streams.BROKEN:
            self.broken += packet is not None
            return []

    def _kept(self, frames: list[Any], wanted: list[float], reformatter: VideoReformatter) -> Iterator[Image]:
        for frame in frames:
            if not wanted:
                return
            time = self._time(frame)
            if time is not None and time < wanted[0] - EARLY_S:
                continue
            first = wanted[0]
            while wanted and (time is None or wanted[0] <= time + EARLY_S):
                wanted.pop(0)
                if time is None:
                    break
            image = self._image(frame, first if time is None else time, reformatter)
            if image is not None:
                yield image

    def _image(self, frame: Any, time: float, reformatter: VideoReformatter) -> Image | None:
        packets.check_pixels(
            (frame.width, frame.height), self.limits
        )  # a stream may change its size on the way
        large = frame.height >= 720 and frame.colorspace == UNSPECIFIED  # players then assume BT.709
        try:
            turned = reformatter.reformat(
                frame, format="rgb24", src_colorspace=Colorspace.ITU709 if large else None, threads=1
            )
            coded: Any = turned.to_ndarray()
        except streams.BROKEN:
            self.broken += 1
            return None
        return Image(
            coded=coded, orientation=TURNS.get(frame.rotation, 1), media_type=self.media_type, origin="frame",
            time_s=max(0.0, time), bit_depth=max((c.bits for c in frame.format.components), default=8),
        )  # fmt: skip

    def _time(self, frame: Any) -> float | None:
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None or not frame.time_base:
            return None
        return float(stamp * frame.time_base) - self.start_s
