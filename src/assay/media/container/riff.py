"""RIFF: WebP, WAV and AVI chunks, their texts, and the metadata blocks that they wrap."""

from __future__ import annotations

from assay.media.container import exif, icc, id3, stealth, xmp
from assay.media.container.draft import Draft, label, text_of
from assay.media.container.source import Malformed, Source
from assay.media.container.trailing import note_trailing

CHUNKS = 50_000
DEPTH = 4
BLOCK = 8 << 20
_SKIPPED = frozenset((b"movi", b"rec "))  # lists of frames
_BARE_INFO = frozenset((b"ISFT", b"ICMT", b"IART", b"ICOP", b"INAM"))  # some writers leave out the INFO list
_NOTES = {
    b"C2PA": "C2PA",
    b"EXIF": "Exif",
    b"XMP ": "XMP",
    b"_PMX": "XMP",
    b"ICCP": "ICC_PROFILE",
    b"LIST": "",
}


def read(source: Source, draft: Draft) -> None:
    """Walk the chunks of the first RIFF form, then name what is left."""
    magic, length, form = source.unpack("<4sI4s", 0)
    order = ">" if magic == b"RIFX" else "<"
    if magic in (b"RF64", b"BW64") or length == 0xFFFFFFFF:
        end = source.size
    else:
        (length,) = source.unpack(order + "I", 4)
        end = 8 + length + length % 2
    draft.part(label(magic), 0, 12, label(form))
    if end > source.size + 1:
        draft.warn(f"the form announces {end} bytes, the sample has {source.size}")
    _chunks(source, draft, order, 12, min(end, source.size), "", [CHUNKS])
    if magic == b"RIFF" and form == b"AVI ":
        end = _further_forms(source, draft, end)
    if end < source.size:
        note_trailing(source, end, draft)
    if form == b"WEBP":
        stealth.read_webp(source, draft)


def _further_forms(source: Source, draft: Draft, end: int) -> int:
    """Long AVI files go on in further forms (OpenDML)."""
    for _ in range(256):
        head = source.upto(end, 12)
        if head[:4] != b"RIFF" or head[8:] != b"AVIX":
            break
        length = int.from_bytes(head[4:8], "little")
        draft.part("RIFF", end, 12, "AVIX")
        end += 8 + length + length % 2
    return end


def _chunks(source: Source, draft: Draft, order: str, at: int, end: int, path: str, left: list[int]) -> None:
    while at + 8 <= end and left[0] > 0:
        left[0] -= 1
        kind, length = source.unpack(order + "4sI", at)
        body = at + 8
        if body + length > end + 1 and kind != b"data":
            raise Malformed(f"the sample ends inside a chunk {label(kind)}")
        room = min(length, end - body)
        if kind in (b"LIST", b"RIFF") and length >= 4:
            form = source.upto(body, 4)
            draft.part(f"{path}{label(form)}", at, 8 + room, label(kind))
            if form not in _SKIPPED and path.count("/") < DEPTH:
                _chunks(source, draft, order, body + 4, body + room, f"{path}{label(form)}/", left)
        else:
            draft.part(path + label(kind), at, 8 + room, _NOTES.get(kind, ""))
            try:
                _chunk(kind, source, body, room, order, path, draft)
            except Malformed as e:
                draft.warn(f"chunk {label(kind)}: {e.message}")
        at = body + length + length % 2


def _chunk(kind: bytes, source: Source, at: int, length: int, order: str, path: str, draft: Draft) -> None:
    if path.endswith("INFO/") or kind in _BARE_INFO:
        draft.tag(f"riff:{label(kind)}", text_of(source.upto(at, min(length, 1 << 20)).partition(b"\0")[0]))
    elif kind == b"EXIF":
        offset = 6 if source.upto(at, 6) == b"Exif\0\0" else 0
        exif.read(source.window(at + offset, length - offset), draft)
    elif kind in (b"XMP ", b"_PMX"):
        xmp.read(source.upto(at, min(length, BLOCK)), draft)
    elif kind == b"ICCP":
        icc.read(source.upto(at, min(length, BLOCK)), draft)
    elif kind in (b"id3 ", b"ID3 "):
        id3.read(source.window(at, length), draft)
    elif kind in _WEBP:
        _webp(kind, source.upto(at, 30), draft)
    elif kind in (b"fmt ", b"data", b"bext", b"iXML"):
        _wave(kind, source, at, length, order, draft)
    elif path.startswith("hdrl/"):
        _avi(kind, source, at, length, order, draft)
    elif kind == b"IDIT":
        draft.tag("riff:IDIT", source.upto(at, min(length, 64)))


_WEBP = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ANIM", b"ANMF", b"ALPH"))


def _webp(kind: bytes, head: bytes, draft: Draft) -> None:
    if kind == b"VP8X" and len(head) >= 10:
        draft.width = 1 + int.from_bytes(head[4:7], "little")
        draft.height = 1 + int.from_bytes(head[7:10], "little")
        names = {0x20: "ICC", 0x10: "alpha", 0x08: "Exif", 0x04: "XMP", 0x02: "animation"}
        draft.tag("webp:flags", " ".join(name for bit, name in names.items() if head[0] & bit))
    elif kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
        draft.tag("webp:codec", "lossy")
        if not draft.width:
            draft.width = int.from_bytes(head[6:8], "little") & 0x3FFF
            draft.height = int.from_bytes(head[8:10], "little") & 0x3FFF
    elif kind == b"VP8L" and head[:1] == b"\x2f":
        bits = int.from_bytes(head[1:5], "little")
        draft.tag("webp:codec", "lossless" + (", alpha" if bits >> 28 & 1 else ""))
        if not draft.width:
            draft.width, draft.height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


def _wave(kind: bytes, source: Source, at: int, length: int, order: str, draft: Draft) -> None:
    if kind == b"fmt " and length >= 16:
        codec, channels, rate, bytes_s, _align, depth = source.unpack(order + "HHIIHH", at)
        draft.tag("stream.0:codec", f"0x{codec:04x}, {channels} channels, {rate} Hz, {depth} bit")
        draft.tag("riff:bytes_per_second", bytes_s)
    elif kind == b"data":
        bytes_s = int(draft.metadata.get("riff:bytes_per_second", "0"))
        draft.duration_s = length / bytes_s if bytes_s else 0.0
    elif kind == b"bext":
        head = source.upto(at, min(length, 1 << 20))
        fields = {"Description": (0, 256), "Originator": (256, 288), "OriginatorReference": (288, 320),
                  "OriginationDate": (320, 330), "OriginationTime": (330, 338), "CodingHistory": (602, None)}  # fmt: skip
        for name, (start, stop) in fields.items():
            draft.tag(f"bext:{name}", text_of(head[start:stop].partition(b"\0")[0]))
    elif kind == b"iXML":
        draft.tag("riff:iXML", source.upto(at, min(length, 1 << 20)))


def _avi(kind: bytes, source: Source, at: int, length: int, order: str, draft: Draft) -> None:
    if kind == b"avih" and length >= 40:
        frame_us, _, _, _, frames, _, streams, _, width, height = source.unpack(order + "10I", at)
        draft.width, draft.height = min(width, 1 << 24), min(height, 1 << 24)
        draft.duration_s = frame_us * frames / 1e6
        draft.tag("format:streams", streams)
    elif kind == b"strh" and length >= 8:
        number = sum(key.endswith(":codec") for key in draft.metadata)
        form, codec = source.unpack("4s4s", at)
        draft.tag(f"stream.{min(number, 16)}:codec", f"{label(form)} {label(codec)}".strip())
    elif kind == b"strn":
        draft.tag("riff:strn", source.upto(at, min(length, 4096)))
