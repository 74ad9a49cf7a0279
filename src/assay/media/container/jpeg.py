"""JPEG (ITU-T T.81): segments, tables, metadata segments, what follows the picture."""

from __future__ import annotations

import re

from assay.media.container import exif, icc, iptc, mpf, xmp
from assay.media.container.draft import Draft, label, text_of
from assay.media.container.source import Malformed, Source
from assay.media.container.standard_codes import name_of
from assay.media.container.trailing import note_trailing

SEGMENTS = 10_000
_NAMES = {
    0xC4: "DHT",
    0xC8: "JPG",
    0xCC: "DAC",
    0xD8: "SOI",
    0xD9: "EOI",
    0xDA: "SOS",
    0xDB: "DQT",
    0xDC: "DNL",
    0xDD: "DRI",
    0xDE: "DHP",
    0xDF: "EXP",
    0xFE: "COM",
    0x01: "TEM",
}
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset((0x01, 0xD8, *range(0xD0, 0xD8)))  # markers without a length
# Scan data ends at a marker that is neither a stuffed byte, a restart nor a fill byte
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")

# Zigzag order of coefficients (T.81, figure A.6): position k in the stream -> index in natural order
ZIGZAG = (
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
)  # fmt: skip

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_MORE = b"http://ns.adobe.com/xmp/extension/\0"


class _Segments:
    """What is spread over several segments and joined when all have been seen."""

    def __init__(self) -> None:
        self.photoshop: list[bytes] = []
        self.icc: list[bytes] = []
        self.more_xmp = xmp.Extension()
        self.mpf_bytes = 0


def read(source: Source, draft: Draft) -> None:
    """Walk the segments from SOI to EOI, then name what is left."""
    joined = _Segments()
    end = 0
    try:
        end = _walk(source, draft, joined)
    finally:
        _join(joined, draft)
    if end:
        note_trailing(source, end, draft, expected=joined.mpf_bytes)
    else:
        draft.warn("the picture has no end marker")


def _walk(source: Source, draft: Draft, joined: _Segments) -> int:
    """Record segments until EOI; return the offset behind it, or 0 if there is none."""
    offset = 0
    for _ in range(SEGMENTS):
        offset, marker = _marker(source, offset, draft)
        if marker in _BARE or marker == 0xD9:
            draft.part(_name(marker), offset, 2)
            offset += 2
            if marker == 0xD9:
                return offset
            continue
        (length,) = source.unpack(">H", offset + 2)
        if length < 2:
            raise Malformed(f"a segment {_name(marker)} of length {length} at offset {offset}")
        data = source.upto(offset + 4, length - 2)
        _segment(marker, data, offset, length + 2, source, draft, joined)
        if len(data) < length - 2:
            raise Malformed(f"the sample ends inside a segment {_name(marker)}")
        offset += 2 + length
        if marker == 0xDA:
            offset = _after_scan(source, offset, draft)
            if not offset:
                return 0
    draft.warn("more segments than any encoder writes; the rest was not read")
    return 0


def _marker(source: Source, offset: int, draft: Draft) -> tuple[int, int]:
    """Find the next marker from `offset` on: fill bytes (0xFF) may precede it, anything else should not."""
    here = source.upto(offset, 2)
    if len(here) == 2 and here[0] == 0xFF and here[1] not in (0x00, 0xFF):
        return offset, here[1]
    for at, data in source.chunks(offset, source.size):
        match = re.search(rb"\xff[\x01-\xfe]", data)
        if match:
            found = at + match.start()
            if source.upto(offset, min(found - offset, 64)).strip(b"\xff"):
                draft.warn(f"{found - offset} stray bytes between segments at offset {offset}")
            return found, data[match.start() + 1]
        if at - offset > 1 << 24:
            break
    raise Malformed(f"no marker after offset {offset}")


def _after_scan(source: Source, offset: int, draft: Draft) -> int:
    """Skip entropy-coded data; return the offset of the marker that ends it, 0 at the end of the sample."""
    held = b""  # a marker may lie across two pieces
    for at, piece in source.chunks(offset, source.size):
        data = held + piece
        match = _SCAN_END.search(data)
        if match:
            end = at - len(held) + match.start()
            draft.part("scan", offset, end - offset)
            return end
        held = b"\xff" if data[-1] == 0xFF else b""
    draft.part("scan", offset, source.size - offset)
    return 0


def _name(marker: int) -> str:
    if marker in _FRAMES:
        return f"SOF{marker - 0xC0}"
    if 0xE0 <= marker <= 0xEF:
        return f"APP{marker - 0xE0}"
    return f"RST{marker - 0xD0}" if 0xD0 <= marker <= 0xD7 else _NAMES.get(marker, f"0xFF{marker:02X}")


def _segment(
    marker: int, data: bytes, offset: int, length: int, source: Source, draft: Draft, joined: _Segments
) -> None:
    note = _identifier(marker, data) if 0xE0 <= marker <= 0xEF else ""
    draft.part(_name(marker), offset, length, note)
    try:
        if marker == 0xDB:
            _quantisation(data, draft)
        elif marker == 0xC4:
            _huffman(data, draft)
        elif marker in _FRAMES:
            _frame(marker, data, draft)
        elif marker == 0xFE:
            draft.tag("jpeg:comment", text_of(data))
        elif note:
            _application(note, data, offset, source, draft, joined)
    except Malformed as e:
        draft.warn(f"{_name(marker)} {note}".rstrip() + f": {e.message}")


def _identifier(marker: int, data: bytes) -> str:
    """Name an APPn segment by the identifier that its data begins with."""
    if data.startswith(_XMP):
        return "XMP"
    if data.startswith(_XMP_MORE):
        return "XMP extension"
    if marker == 0xEB and data[:2] == b"JP":
        return "C2PA" if b"c2pa" in data[:64] or data[16:20] == b"jumb" else "JUMBF"
    known: tuple[tuple[bytes, str], ...] = (
        (b"Exif\0", "Exif"), (b"JFIF\0", "JFIF"), (b"JFXX\0", "JFXX"), (b"ICC_PROFILE\0", "ICC_PROFILE"),
        (b"MPF\0", "MPF"), (b"Photoshop 3.0\0", "Photoshop"), (b"Adobe", "Adobe"), (b"Ducky", "Ducky"),
    )  # fmt: skip
    for magic, name in known:
        if data.startswith(magic):
            return name
    return label(data.partition(b"\0")[0][:32]) if data[:4].isalnum() else "unknown"


def _application(
    note: str, data: bytes, offset: int, source: Source, draft: Draft, joined: _Segments
) -> None:
    if note == "Exif":
        exif.read(source.window(offset + 10, len(data) - 6), draft, thumbnails=True)
    elif note == "XMP":
        xmp.read(data[len(_XMP) :], draft)
    elif note == "XMP extension":
        joined.more_xmp.add(data[len(_XMP_MORE) :])
    elif note == "Photoshop":
        joined.photoshop.append(data[14:])
    elif note == "ICC_PROFILE":
        joined.icc.append(data[14:])
    elif note == "MPF":
        joined.mpf_bytes = mpf.read(Source.of(data[4:]), draft)
    else:
        _small(note, data, draft)


def _small(note: str, data: bytes, draft: Draft) -> None:
    if note == "JFIF" and len(data) >= 14:
        unit = ("", " dpi", " dpcm")[data[7]] if data[7] < 3 else ""
        draft.tag("jfif:Version", f"{data[5]}.{data[6]:02d}")
        draft.tag("jfif:Density", f"{data[8] << 8 | data[9]}x{data[10] << 8 | data[11]}{unit}")
    elif note == "Adobe" and len(data) >= 12:
        draft.tag("adobe:Transform", data[11])
    elif note == "Ducky":
        draft.tag("ducky:Length", len(data))  # "Save for Web"; holds quality and comment


def _join(joined: _Segments, draft: Draft) -> None:
    if joined.photoshop:
        iptc.read_resources(b"".join(joined.photoshop), draft)
    if joined.icc:
        icc.read(b"".join(joined.icc), draft)
    packet = joined.more_xmp.packet(draft.metadata.get("xmp:HasExtendedXMP", ""))
    if packet:
        xmp.read(packet, draft)
    elif joined.more_xmp:
        draft.warn("extended XMP is incomplete")


def _quantisation(data: bytes, draft: Draft) -> None:
    at = 0
    while at < len(data):
        wide = data[at] >> 4
        size = 128 if wide else 64
        values = data[at + 1 : at + 1 + size]
        if len(values) < size or wide > 1:
            raise Malformed("a quantisation table is cut short or of unknown precision")
        zigzag = [values[i] << 8 | values[i + 1] for i in range(0, 128, 2)] if wide else list(values)
        natural = [0] * 64
        for k, value in enumerate(zigzag):
            natural[ZIGZAG[k]] = value
        draft.table(tuple(natural))
        at += 1 + size


def _huffman(data: bytes, draft: Draft) -> None:
    at = 0
    while at < len(data):
        bits = data[at + 1 : at + 17]
        size = 17 + sum(bits)
        if len(bits) < 16 or at + size > len(data):
            raise Malformed("a Huffman table is cut short")
        draft.code(name_of(data[at + 1 : at + size]))
        at += size


def _frame(marker: int, data: bytes, draft: Draft) -> None:
    if draft.sampling:
        raise Malformed("a second frame header")
    if len(data) < 6 or len(data) < 6 + 3 * data[5]:
        raise Malformed("a frame header is cut short")
    draft.height, draft.width = data[1] << 8 | data[2], data[3] << 8 | data[4]
    draft.progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
    factors = data[7 : 6 + 3 * data[5] : 3]
    draft.sampling = ",".join(f"{b >> 4}x{b & 15}" for b in factors)
    draft.tag("jpeg:precision", data[0])
    draft.tag("jpeg:components", ",".join(str(b) for b in data[6 : 6 + 3 * data[5] : 3]))
