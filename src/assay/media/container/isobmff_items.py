"""Items of HEIF pictures (ISO/IEC 23008-12): where EXIF and XMP lie, and how large the picture is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.media.container import exif, xmp
from assay.media.container.draft import label
from assay.media.container.source import Malformed

if TYPE_CHECKING:
    from assay.media.container.draft import Draft
    from assay.media.container.source import Source

ITEMS = 4096
BLOCK = 8 << 20


class Items:
    """Collects the item boxes of one ``meta`` box, which may come in any order."""

    def __init__(self) -> None:
        self._kinds: dict[int, str] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._data = 0  # where an idat box's bytes begin

    def box(self, kind: bytes, source: Source, body: int, end: int, draft: Draft) -> None:
        if kind == b"iinf":
            self._infos(source, body, end)
        elif kind == b"iloc":
            self._locations(source, body, end)
        elif kind == b"idat":
            self._data = body
        elif kind == b"ispe":
            width, height = source.unpack(">II", body + 4)
            if width * height > draft.width * draft.height and width < 1 << 24 and height < 1 << 24:
                draft.width, draft.height = width, height
        elif kind == b"hdlr":
            draft.tag("format:handler", label(source.upto(body + 8, 4)))

    def _infos(self, source: Source, body: int, end: int) -> None:
        version = source.exactly(body, 1)[0]
        at = body + (6 if version == 0 else 8)
        while at + 12 <= end and len(self._kinds) < ITEMS:
            (length,) = source.unpack(">I", at)
            entry = source.upto(at, min(length, 256))
            if length < 20 or entry[4:8] != b"infe" or len(entry) < 20:
                return
            wide = entry[8] >= 3
            number = int.from_bytes(entry[12 : 16 if wide else 14], "big")
            rest = entry[18:] if wide else entry[16:]
            content = rest[4:].split(b"\0")
            mime = label(content[1]) if rest[:4] == b"mime" and len(content) > 1 else ""
            self._kinds[number] = mime or label(rest[:4])
            at += length

    def _locations(self, source: Source, body: int, end: int) -> None:
        """Keep the first extent of each item; metadata are never split in practice."""
        version, sizes, more = source.unpack(">BxxxBB", body)
        offset_size, length_size, base_size, index_size = (
            sizes >> 4,
            sizes & 15,
            more >> 4,
            more & 15 if version else 0,
        )
        if {offset_size, length_size, base_size, index_size} - {0, 4, 8}:
            raise Malformed("item locations of an unknown width")
        data = source.upto(body + 6, min(end - body - 6, 1 << 20))
        at = 0

        def number(width: int) -> int:
            nonlocal at
            at += width
            if at > len(data):
                raise Malformed("item locations are cut short")
            return int.from_bytes(data[at - width : at], "big")

        for _ in range(min(number(4 if version == 2 else 2), ITEMS)):
            item = number(4 if version == 2 else 2)
            method = number(2) & 15 if version else 0
            number(2)
            base = number(base_size)
            for k in range(number(2)):
                number(index_size)
                place = (base + number(offset_size), number(length_size))
                if k == 0 and method in (0, 1):
                    self._places[item] = (place[0] + (self._data if method else 0), place[1])

    def finish(self, source: Source, draft: Draft) -> None:
        """Read the EXIF and XMP items."""
        for item, kind in self._kinds.items():
            place = self._places.get(item)
            if place is None or kind not in ("Exif", "application/rdf+xml"):
                continue
            draft.part(f"item/{kind}", *place, "Exif" if kind == "Exif" else "XMP")
            try:
                if kind == "Exif":
                    (skip,) = source.unpack(">I", place[0])
                    exif.read(source.window(place[0] + 4 + skip, place[1] - 4 - skip), draft)
                else:
                    xmp.read(source.upto(place[0], min(place[1], BLOCK)), draft)
            except Malformed as e:
                draft.warn(f"item {kind}: {e.message}")
