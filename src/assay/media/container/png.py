"""PNG (ISO/IEC 15948): chunks, texts, embedded EXIF, XMP, profiles and credentials."""

from __future__ import annotations

import re
import zlib

from assay.media.container import exif, icc, iptc, stealth, xmp
from assay.media.container.draft import Draft, label, text_of
from assay.media.container.source import Malformed, Source
from assay.media.container.trailing import note_trailing

CHUNKS = 100_000
TEXT = 16 << 20  # bytes of a text chunk that are read
INFLATED = 4 << 20  # bytes that a compressed text may become
_HEADER = 8
_CHECKED = 1 << 20  # chunks up to this size have their checksum compared
_CRITICAL = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))
_NOTES = {b"caBX": "C2PA", b"eXIf": "Exif"}
_RAW_PROFILE = re.compile(r"Raw profile type (exif|APP1|xmp|iptc|8bim|icc|icm)")


def read(source: Source, draft: Draft) -> None:
    """Walk the chunks to IEND, also those behind the pixels, name what is left, look for hidden text."""
    try:
        _walk(source, draft)
    finally:
        header = source.upto(_HEADER + 8, 13)
        if len(header) == 13 and draft.width:
            stealth.read_png(source, draft, header[8], header[9], header[12])


def _walk(source: Source, draft: Draft) -> None:
    offset = _HEADER
    for _ in range(CHUNKS):
        length, kind = source.unpack(">I4s", offset)
        if not (kind.isalpha() and length < 1 << 31):
            raise Malformed(f"no chunk at offset {offset}")
        draft.part(label(kind), offset, 12 + length, _NOTES.get(kind, ""))
        try:
            _chunk(kind, source, offset + 8, length, draft)
        except Malformed as e:
            draft.warn(f"chunk {label(kind)}: {e.message}")
        offset += 12 + length
        if offset > source.size:
            raise Malformed(f"the sample ends inside a chunk {label(kind)}")
        if kind == b"IEND":
            note_trailing(source, offset, draft)
            return
    draft.warn("more chunks than any encoder writes; the rest was not read")


def _chunk(kind: bytes, source: Source, at: int, length: int, draft: Draft) -> None:
    if kind == b"IDAT":
        return
    data = source.upto(at, min(length, TEXT))
    if len(data) == length <= _CHECKED:
        stored = source.upto(at + length, 4)
        if len(stored) == 4 and zlib.crc32(kind + data) != int.from_bytes(stored, "big"):
            draft.warn(f"the checksum of a chunk {label(kind)} is wrong")
            if kind in _CRITICAL:
                draft.tag("png:checksum", f"wrong in {label(kind)}")
    if kind == b"IHDR" and len(data) >= 13:
        draft.width, draft.height = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        draft.tag("png:header", f"depth {data[8]}, colour {data[9]}, interlace {data[12]}")
    elif kind in (b"tEXt", b"zTXt", b"iTXt"):
        _text(kind, data, draft)
    elif kind == b"eXIf":
        exif.read(source.window(at, length), draft)
    elif kind == b"iCCP":
        icc.read(inflate(data.partition(b"\0")[2][1:], draft), draft)
    elif kind == b"acTL" and len(data) >= 8:
        draft.tag("png:animation", f"{int.from_bytes(data[:4], 'big')} frames")
    elif kind == b"tIME" and len(data) >= 7:
        year = int.from_bytes(data[:2], "big")
        draft.tag("png:time", f"{year}-{data[2]:02d}-{data[3]:02d} {data[4]:02d}:{data[5]:02d}:{data[6]:02d}")
    elif kind == b"pHYs" and len(data) >= 9:
        x, y = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        draft.tag("png:density", f"{x}x{y}{' per metre' if data[8] == 1 else ''}")


def inflate(data: bytes, draft: Draft) -> bytes:
    """Decompress at most `INFLATED` bytes."""
    draft.spend(0)
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, INFLATED)
    except zlib.error as e:
        raise Malformed(f"compressed text cannot be read ({e})") from e
    draft.spend(len(text))
    if stream.unconsumed_tail:
        draft.truncated = True
    return text


def _text(kind: bytes, data: bytes, draft: Draft) -> None:
    keyword, _, rest = data.partition(b"\0")
    name = label(keyword) or "text"
    if kind == b"tEXt":
        text = text_of(rest)
    elif kind == b"zTXt":
        text = text_of(inflate(rest[1:], draft))
    else:
        compressed = rest[:1] == b"\1"
        _language, _, translated = rest[2:].partition(b"\0")
        body = translated.partition(b"\0")[2]
        text = (inflate(body, draft) if compressed else body).decode("utf-8", "replace")
    profile = _RAW_PROFILE.match(name)
    if name == "XML:com.adobe.xmp":
        xmp.read(text.encode("utf-8", "replace"), draft)
    elif profile:
        _raw_profile(profile.group(1), text, draft)
    else:
        draft.tag(f"png:{name}", text)


def _raw_profile(kind: str, text: str, draft: Draft) -> None:
    """Read what ImageMagick hides in a text chunk: a name, a length, then the profile in hexadecimal."""
    lines = text.strip().split("\n", 2)
    try:
        data = bytes.fromhex("".join(lines[2].split())) if len(lines) == 3 else b""
    except ValueError as e:
        raise Malformed("a raw profile is not hexadecimal") from e
    if kind in ("exif", "APP1"):
        if data.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            xmp.read(data[29:], draft)
        else:
            body = data.removeprefix(b"Exif\0\0")
            exif.read(Source.of(body), draft)
    elif kind == "xmp":
        xmp.read(data, draft)
    elif kind in ("iptc", "8bim"):
        iptc.read_resources(data, draft) if data[:4] == b"8BIM" else iptc.read(data, draft)
    else:
        icc.read(data, draft)
