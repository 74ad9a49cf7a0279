"""Matroska and WebM (RFC 9559): who muxed and wrote, tracks, tags. Clusters are stepped over."""

from __future__ import annotations

import struct

from assay.media.container.draft import Draft, label, text_of
from assay.media.container.source import Malformed, Source
from assay.media.container.trailing import note_trailing

ELEMENTS = 50_000
DEPTH = 6
BLOCK = 1 << 20

_MASTERS = {
    0x18538067: "Segment", 0x1549A966: "Info", 0x1654AE6B: "Tracks", 0xAE: "TrackEntry", 0xE0: "Video", 0xE1: "Audio",
    0x1254C367: "Tags", 0x7373: "Tag", 0x67C8: "SimpleTag", 0x1A45DFA3: "EBML", 0x1941A469: "Attachments",
    0x61A7: "AttachedFile",
}  # fmt: skip
_OTHERS = {
    0x114D9B74: "SeekHead",
    0x1F43B675: "Cluster",
    0x1C53BB6B: "Cues",
    0x1043A770: "Chapters",
    0xEC: "Void",
    0xBF: "CRC-32",
}
_TEXTS = {
    0x4282: "format:doctype", 0x4D80: "format:muxing_app", 0x5741: "format:encoder", 0x7BA9: "format:title",
    0x536E: "name", 0x86: "codec", 0x258688: "codec_name", 0x22B59C: "language", 0x466E: "attachment", 0x4660: "attachment_type",
}  # fmt: skip
_WIDTH, _HEIGHT, _SCALE, _DURATION = 0xB0, 0xBA, 0x2AD7B1, 0x4489
_TAG_NAME, _TAG_STRING = 0x45A3, 0x4487


def read(source: Source, draft: Draft) -> None:
    """Walk the elements; lengths that are unknown, as in a live stream, reach to the end of what encloses them."""
    walk = _Walk(source, draft)
    end = walk.elements(0, source.size, "", 0)
    draft.duration_s = min(walk.duration * walk.scale / 1e9, 1e9)
    if end < source.size:
        note_trailing(source, end, draft)


class _Walk:
    def __init__(self, source: Source, draft: Draft) -> None:
        self.source, self.draft = source, draft
        self.scale, self.duration = 1_000_000, 0.0
        self._left = ELEMENTS
        self._track = -1
        self._tag_name = ""

    def elements(self, at: int, end: int, path: str, depth: int) -> int:
        while at + 2 <= end:
            self._left -= 1
            if self._left < 0:
                self.draft.warn("more elements than are read; the rest was not")
                return end
            number, at_size = self._number(at, keep_marker=True)
            if not path and number not in (0x1A45DFA3, 0x18538067, 0xEC):
                return at
            length, body = self._number(at_size, keep_marker=False)
            known = length >= 0
            stop = min(body + length, end) if known else end
            if known and body + length > end:
                self.draft.warn(f"element {_name(number)} announces {length} bytes, {end - body} are there")
            self._element(number, at, body, stop, path, depth)
            if not known and number == 0x1F43B675:
                return self._unknown_cluster(end)
            at = stop
        return at

    def _unknown_cluster(self, end: int) -> int:
        self.draft.warn("a cluster of unknown length; what follows was not read")
        return end

    def _number(self, at: int, *, keep_marker: bool) -> tuple[int, int]:
        """Read a variable-length number; -1 stands for an unknown length."""
        raw = self.source.upto(at, 8)
        if not raw or not raw[0]:
            raise Malformed(f"no element at offset {at}")
        width = 9 - raw[0].bit_length()
        if len(raw) < width:
            raise Malformed("the sample ends inside an element")
        value = int.from_bytes(raw[:width], "big")
        if not keep_marker:
            value &= (1 << 7 * width) - 1
            value = -1 if value == (1 << 7 * width) - 1 else value
        return value, at + width

    def _element(self, number: int, at: int, body: int, stop: int, path: str, depth: int) -> None:
        name = _MASTERS.get(number) or _OTHERS.get(number)
        if name and depth <= 2:
            self.draft.part(path + name, at, stop - at)
        if number == 0xAE:
            self._track += 1
        if number in _MASTERS and depth < DEPTH:
            self.elements(body, stop, f"{path}{_MASTERS[number]}/", depth + 1)
        elif number in _TEXTS:
            key = _TEXTS[number]
            text = self.source.upto(body, min(stop - body, 4096))
            self.draft.tag(key if ":" in key else f"stream.{min(max(self._track, 0), 63)}:{key}", text)
        elif number in (_TAG_NAME, _TAG_STRING):
            self._simple_tag(number, body, stop)
        elif number in (_WIDTH, _HEIGHT, _SCALE, _DURATION):
            self._value(number, self.source.upto(body, min(stop - body, 8)))

    def _simple_tag(self, number: int, body: int, stop: int) -> None:
        text = text_of(self.source.upto(body, min(stop - body, BLOCK)))
        if number == _TAG_NAME:
            self._tag_name = label(text.encode("utf-8"))
        elif self._tag_name:
            self.draft.tag(f"matroska:{self._tag_name}", text)

    def _value(self, number: int, raw: bytes) -> None:
        value = int.from_bytes(raw, "big")
        if number == _DURATION and len(raw) in (4, 8):
            duration = struct.unpack(">f" if len(raw) == 4 else ">d", raw)[0]
            self.duration = duration if 0 <= duration < 1e15 else 0.0
        elif number == _SCALE:
            self.scale = value
        elif number == _WIDTH:
            self.draft.width = max(self.draft.width, min(value, 1 << 24))
        elif number == _HEIGHT:
            self.draft.height = max(self.draft.height, min(value, 1 << 24))


def _name(number: int) -> str:
    return _MASTERS.get(number) or _OTHERS.get(number) or f"0x{number:X}"
