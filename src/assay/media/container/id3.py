"""ID3 tags at the start (2.2 to 2.4) and the end (1) of a sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.media.container.draft import label, text_of
from assay.media.container.source import Malformed, Source

if TYPE_CHECKING:
    from assay.media.container.draft import Draft

FRAMES = 1024
BLOCK = 1 << 20
_CHARSETS = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}


def length_of(source: Source) -> int:
    """Bytes that an ID3v2 tag at the start takes, 0 where there is none."""
    head = source.upto(0, 10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + _seven_bits(head[6:10]) + (10 if head[5] & 0x10 else 0)


def read(source: Source, draft: Draft) -> None:
    """Record the text frames of an ID3v2 tag, comments, owners of private frames and kinds of attachments."""
    head = source.exactly(0, 10)
    version, flags = head[3], head[5]
    data = source.upto(10, min(_seven_bits(head[6:10]), 8 << 20))
    if flags & 0x80 and version < 4:
        data = data.replace(b"\xff\0", b"\xff")
    at = _seven_bits(data[:4]) if flags & 0x40 and version == 4 else 0
    if flags & 0x40 and version == 3:
        at = 4 + int.from_bytes(data[:4], "big")
    draft.tag("id3:version", f"2.{version}")
    wide = version > 2
    for _ in range(FRAMES):
        frame = data[at : at + (10 if wide else 6)]
        name = frame[: 4 if wide else 3]
        if len(frame) < (10 if wide else 6) or not name.strip(b"\0"):
            return
        size = _size(frame, version)
        start = at + len(frame)
        body = data[start : start + size]
        if not label(name).isalnum() or len(body) < size:
            raise Malformed("an ID3 frame is cut short")
        if wide and version == 4 and frame[9] & 1:
            body = body[4:]
        _frame(label(name), body[:BLOCK], draft)
        if b"application/x-c2pa-manifest-store" in body[:64] or b"application/c2pa" in body[:64]:
            draft.part("ID3/GEOB", start - len(frame), size, "C2PA")
        at = start + size


def _seven_bits(raw: bytes) -> int:
    return sum((b & 0x7F) << s for b, s in zip(raw, (21, 14, 7, 0), strict=False))


def _size(frame: bytes, version: int) -> int:
    if version <= 2:
        return int.from_bytes(frame[3:6], "big")
    return _seven_bits(frame[4:8]) if version == 4 else int.from_bytes(frame[4:8], "big")


def _frame(name: str, body: bytes, draft: Draft) -> None:
    if name in ("TXXX", "TXX"):
        key, _, value = _text(body).partition("\0")
        draft.tag(f"id3:{key.strip() or name}", value)
    elif name[0] == "T":
        draft.tag(f"id3:{name}", _text(body).replace("\0", "; ").strip("; "))
    elif name in ("COMM", "COM", "USLT", "ULT"):
        draft.tag(f"id3:{name}", _text(body[:1] + body[4:]).rpartition("\0")[2])
    elif name[0] == "W":
        draft.tag(f"id3:{name}", body)
    elif name in ("PRIV", "UFID", "UFI"):
        draft.tag(f"id3:{name}", body.partition(b"\0")[0])
    elif name in ("APIC", "PIC", "GEOB", "GEO"):
        draft.tag(f"id3:{name}", f"{label(body[1:65].partition(bytes(1))[0])}, {len(body)} bytes")


def _text(body: bytes) -> str:
    return body[1:].decode(_CHARSETS.get(body[0], "latin-1"), "replace").strip("\0") if body else ""


def read_old(source: Source, draft: Draft) -> int:
    """Record an ID3v1 tag at the end; return its length, 0 where there is none."""
    tag = source.upto(source.size - 128, 128)
    if len(tag) < 128 or tag[:3] != b"TAG":
        return 0
    for name, start, stop in (
        ("title", 3, 33),
        ("artist", 33, 63),
        ("album", 63, 93),
        ("year", 93, 97),
        ("comment", 97, 125),
    ):
        draft.tag(f"id3v1:{name}", text_of(tag[start:stop].partition(b"\0")[0]))
    draft.part("ID3v1", source.size - 128, 128)
    return 128
