"""ISO base media files (ISO/IEC 14496-12): MP4, MOV, M4A, HEIC, AVIF. Boxes, brands, who encoded and who labelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from assay.media.container import exif, xmp
from assay.media.container.draft import Draft, label, text_of
from assay.media.container.isobmff_items import Items
from assay.media.container.source import Malformed, Source
from assay.media.container.trailing import note_trailing

BOXES = 20_000
DEPTH = 8
_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
_LATEST = 8_000_000_000  # seconds: the year 2157
BLOCK = 1 << 20
_CONTAINERS = frozenset(
    (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"meta", b"ilst", b"iprp", b"ipco", b"mvex", b"moof", b"traf", b"dinf", b"edts", b"gmhd", b"tapt")
)  # fmt: skip
_UUIDS = {
    "d8fec3d61b0e483c92975828877ec481": "C2PA",
    "be7acfcb97a942e89c71999491e3afac": "XMP",
    "0537cdab9d0c4431a72afa561f2a113e": "Exif",
}
# iTunes-style and QuickTime user data names, as FFmpeg calls them
_WORDS = {
    "\\xa9too": "encoder", "\\xa9enc": "encoder", "\\xa9swr": "encoder", "\\xa9nam": "title", "\\xa9ART": "artist",
    "\\xa9cmt": "comment", "\\xa9day": "date", "\\xa9mak": "make", "\\xa9mod": "model", "\\xa9inf": "information",
    "\\xa9des": "description", "desc": "description", "\\xa9cpy": "copyright", "cprt": "copyright", "\\xa9xyz": "location",
    "\\xa9gen": "genre", "\\xa9alb": "album", "\\xa9req": "requirements", "\\xa9fmt": "format", "tool": "encoder",
    "auth": "author", "titl": "title", "loci": "location",
}  # fmt: skip


def read(source: Source, draft: Draft) -> None:
    """Walk the boxes; what no box covers at the end is trailing."""
    walk = _Walk(source, draft)
    walk.boxes(0, source.size, "", 0)
    walk.items.finish(source, draft)


class _Walk:
    def __init__(self, source: Source, draft: Draft) -> None:
        self.source, self.draft = source, draft
        self.items = Items()
        self._left = BOXES
        self._track = -1
        self._keys: list[str] = []

    def boxes(self, at: int, end: int, path: str, depth: int) -> None:
        while at + 8 <= end:
            self._left -= 1
            if self._left < 0:
                raise Malformed("more boxes than any encoder writes")
            length, kind, header = self._header(at, end)
            if length < header or (not path and not kind.strip(b"\0")):
                self._rest(at, end, path)
                return
            if at + length > end:
                self.draft.warn(f"box {path}{label(kind)} announces {length} bytes, {end - at} are there")
                length = end - at
            self._box(kind, at, length, header, path, depth)
            at += length
        if not path and at < end:
            self._rest(at, end, path)

    def _header(self, at: int, end: int) -> tuple[int, bytes, int]:
        length, kind = self.source.unpack(">I4s", at)
        if length == 1:
            return int(self.source.unpack(">Q", at + 8)[0]), kind, 16
        return (end - at if length == 0 else length), kind, 8

    def _rest(self, at: int, end: int, path: str) -> None:
        if path:
            if self.source.upto(at, min(end - at, 8)).strip(b"\0"):
                self.draft.warn(f"no box at offset {at} in {path}")
            return
        note_trailing(self.source.window(0, end), at, self.draft)

    def _box(self, kind: bytes, at: int, length: int, header: int, path: str, depth: int) -> None:
        name = path + label(kind)
        note = ""
        if kind == b"uuid":
            note = _UUIDS.get(
                self.source.upto(at + header, 16).hex(), self.source.upto(at + header, 16).hex()
            )
        self.draft.part(name, at, length, note)
        body, end = at + header, at + length
        try:
            if kind in _CONTAINERS and depth < DEPTH:
                self._inside(kind, body, end, name, depth)
            else:
                self._leaf(kind, body, end, path, note)
        except Malformed as e:
            self.draft.warn(f"box {name}: {e.message}")

    def _inside(self, kind: bytes, body: int, end: int, name: str, depth: int) -> None:
        if kind == b"trak":
            self._track += 1
        if kind == b"meta" and self.source.upto(body + 4, 4) not in (b"hdlr", b"ilst", b"keys"):
            body += 4  # a full box, except in QuickTime
        self.boxes(body, end, name + "/", depth + 1)

    def _leaf(self, kind: bytes, body: int, end: int, path: str, note: str) -> None:
        source, draft = self.source, self.draft
        if kind in (b"ftyp", b"styp"):
            brands = source.upto(body, min(end - body, 256))
            draft.tag("format:major_brand", label(brands[:4]))
            draft.tag(
                "format:compatible_brands",
                " ".join(label(brands[i : i + 4]) for i in range(8, len(brands), 4)),
            )
        elif note == "XMP" or kind == b"XMP_":
            skip = 16 if note else 0
            xmp.read(source.upto(body + skip, min(end - body - skip, 8 * BLOCK)), draft)
        elif note == "Exif":
            exif.read(source.window(body + 16, end - body - 16), draft)
        elif path.startswith("moov/"):
            self._movie(kind, body, end, path)
        elif path.startswith("meta/"):
            self.items.box(kind, source, body, end, draft)

    def _movie(self, kind: bytes, body: int, end: int, path: str) -> None:
        if kind == b"mvhd":
            self._duration(body)
        elif kind == b"tkhd":
            self._track_header(body)
        elif kind == b"hdlr" and path.endswith("mdia/"):
            data = self.source.upto(body, min(end - body, 512))
            self._tag("handler", label(data[8:12]))
            self._tag("handler_name", _counted_or_plain(data[24:]))
        elif kind == b"stsd":
            self._sample_description(body, end)
        elif kind == b"mdhd":
            self._language(body)
        elif kind == b"keys":
            self._key_names(body, end)
        elif "ilst/" in path or path.endswith("udta/"):
            self._user_data(kind, body, end, in_list="ilst/" in path)

    def _tag(self, name: str, value: str | bytes) -> None:
        self.draft.tag(f"stream.{min(max(self._track, 0), 63)}:{name}", value)

    def _duration(self, body: int) -> None:
        version = self.source.upto(body, 1)[:1]
        form, at = (">QQIQ", body + 4) if version == b"\1" else (">IIII", body + 4)
        created, _, scale, duration = self.source.unpack(form, at)
        if scale and duration < 1 << 62:
            self.draft.duration_s = min(duration / scale, 1e9)
        if 0 < created < _LATEST:
            self.draft.tag("format:creation_time", (_EPOCH + timedelta(seconds=created)).isoformat())

    def _track_header(self, body: int) -> None:
        at = body + (88 if self.source.upto(body, 1) == b"\1" else 76)
        width, height = (int(v) >> 16 for v in self.source.unpack(">II", at))
        if width * height > self.draft.width * self.draft.height:
            self.draft.width, self.draft.height = width, height

    def _language(self, body: int) -> None:
        at = body + (32 if self.source.upto(body, 1) == b"\1" else 20)
        (code,) = self.source.unpack(">H", at)
        self._tag(
            "language",
            "".join(chr((code >> s & 31) + 0x60) for s in (10, 5, 0)) if code > 0x400 else str(code),
        )

    def _sample_description(self, body: int, end: int) -> None:
        data = self.source.upto(body + 8, min(end - body - 8, 4096))
        codec = label(data[4:8])
        self._tag("codec", codec)
        name = data[50:82]  # of a visual entry: a counted string of 32 bytes
        if (
            len(name) == 32
            and 0 < name[0] < 32
            and self.draft.metadata.get(f"stream.{self._track}:handler") == "vide"
        ):
            self._tag("encoder", text_of(name[1 : 1 + name[0]]))

    def _key_names(self, body: int, end: int) -> None:
        (count,) = self.source.unpack(">I", body + 4)
        at = body + 8
        self._keys = []
        for _ in range(min(count, 256)):
            (length,) = self.source.unpack(">I", at)
            if length < 8 or at + length > end:
                break
            self._keys.append(label(self.source.upto(at + 8, min(length - 8, 64))))
            at += length

    def _user_data(self, kind: bytes, body: int, end: int, *, in_list: bool) -> None:
        name = _WORDS.get(label(kind), label(kind))
        number = int.from_bytes(kind, "big")
        if in_list and 0 < number <= len(self._keys):
            name = self._keys[number - 1]
        data = self.source.upto(body, min(end - body, BLOCK))
        if data[4:8] == b"data" and len(data) >= 16:
            flags, value = int.from_bytes(data[8:12], "big"), data[16 : int.from_bytes(data[:4], "big")]
            if data[8:9] == b"\0" and flags in (0, 1, 2) and _is_text(value):
                self.draft.tag(
                    f"format:{name}", value.decode("utf-16-be", "replace") if flags == 2 else text_of(value)
                )
        elif data[4:8] == b"mean":
            self._free_form(data)
        elif kind[:1] == b"\xa9" and len(data) > 4:
            length = int.from_bytes(data[:2], "big")
            self.draft.tag(f"format:{name}", _quicktime_text(data[4 : 4 + length] if length else data))
        elif not in_list and _is_text(data) and kind != b"hdlr":
            self.draft.tag(f"format:{name}", data[4:] if data[:4] == b"\0\0\0\0" else data)

    def _free_form(self, data: bytes) -> None:
        """iTunes' ``----``: mean, name and data boxes one after the other."""
        fields: dict[bytes, bytes] = {}
        at = 0
        while at + 12 <= len(data) and len(fields) < 8:
            length = int.from_bytes(data[at : at + 4], "big")
            if length < 12:
                break
            fields[data[at + 4 : at + 8]] = data[at + 12 : at + length]
            at += length
        if b"name" in fields and b"data" in fields:
            self.draft.tag(f"format:{label(fields[b'name'])}", fields[b"data"][4:])


def _quicktime_text(raw: bytes) -> str:
    """Old QuickTime wrote Mac Roman, everything since UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("mac_roman")


def _is_text(value: bytes) -> bool:
    return bool(value) and not any(b < 9 or 13 < b < 32 for b in value[:64].strip(b"\0"))


def _counted_or_plain(raw: bytes) -> bytes:
    """A handler's name: NUL-terminated in MP4, counted in QuickTime."""
    if raw and raw[0] == len(raw) - 1 < 32:
        return raw[1:]
    return raw.partition(b"\0")[0]
