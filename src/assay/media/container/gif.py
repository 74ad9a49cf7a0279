"""GIF 89a: blocks, comments, application extensions, frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.media.container import icc, xmp
from assay.media.container.draft import label
from assay.media.container.source import Malformed
from assay.media.container.trailing import note_trailing

if TYPE_CHECKING:
    from assay.media.container.draft import Draft
    from assay.media.container.source import Source

BLOCKS = 100_000
SUB_BLOCKS = 1 << 20
TEXT = 1 << 20
_NAMES = {0xF9: "graphic control", 0xFE: "comment", 0xFF: "application", 0x01: "plain text"}


class _Bytes:
    """The sample read forwards through a buffer: GIF has no lengths to jump by."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._buffer = b""
        self._start = 0
        self.left = SUB_BLOCKS

    def at(self, offset: int, length: int) -> bytes:
        if not self._start <= offset <= self._start + len(self._buffer) - length:
            self._buffer, self._start = self._source.upto(offset, max(1 << 18, length)), offset
        data = self._buffer[offset - self._start : offset - self._start + length]
        if len(data) < length:
            raise Malformed(f"the sample ends at {self._source.size}, inside a block")
        return data

    def sub_blocks(self, offset: int, keep: int = 0) -> tuple[int, bytes]:
        """Skip a chain of sub-blocks; return what follows it, and up to `keep` bytes of its data."""
        kept = bytearray()
        while self.left > 0:
            self.left -= 1
            length = self.at(offset, 1)[0]
            if not length:
                return offset + 1, bytes(kept)
            if len(kept) < keep:
                kept += self.at(offset + 1, length)
            offset += 1 + length
        raise Malformed("more blocks than any encoder writes")


def read(source: Source, draft: Draft) -> None:
    """Walk the blocks to the trailer, then name what is left."""
    data = _Bytes(source)
    head = data.at(0, 13)
    draft.width, draft.height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    draft.part("header", 0, 13, label(head[:6]))
    offset = 13 + (3 << (head[10] & 7) + 1 if head[10] & 0x80 else 0)
    frames = 0
    try:
        for _ in range(BLOCKS):
            kind = data.at(offset, 1)[0]
            if kind == 0x3B:
                draft.part("trailer", offset, 1)
                note_trailing(source, offset + 1, draft)
                return
            if kind == 0x2C:
                start, packed = offset, data.at(offset + 9, 1)[0]
                offset, _ = data.sub_blocks(offset + 11 + (3 << (packed & 7) + 1 if packed & 0x80 else 0))
                draft.part("image", start, offset - start)
                frames += 1
            elif kind == 0x21:
                offset = _extension(data, offset, draft)
            else:
                raise Malformed(f"no block at offset {offset}")
    finally:
        draft.tag("gif:frames", frames)


def _extension(data: _Bytes, offset: int, draft: Draft) -> int:
    kind = data.at(offset + 1, 1)[0]
    name = _NAMES.get(kind, f"extension 0x{kind:02x}")
    if kind != 0xFF:
        end, body = data.sub_blocks(offset + 2, TEXT if kind in (0xFE, 0x01) else 0)
        draft.part(name, offset, end - offset)
        if kind in (0xFE, 0x01):
            draft.tag(f"gif:{name}", body)
        return end
    length = data.at(offset + 2, 1)[0]
    application = data.at(offset + 3, length)
    start = offset + 3 + length
    end, body = data.sub_blocks(start, TEXT)
    note = label(application)
    draft.part(name, offset, end - offset, "C2PA" if note.startswith("C2PA") else note)
    if application.startswith(b"XMP DataXMP"):
        _xmp(data, start, end, draft)
    elif application.startswith(b"ICCRGBG1"):
        icc.read(body, draft)
    elif body and not application.startswith((b"NETSCAPE", b"ANIMEXTS")):
        draft.tag(f"gif:{note}", f"{end - start} bytes")
    return end


def _xmp(data: _Bytes, start: int, end: int, draft: Draft) -> None:
    """XMP stands there bare; a tail that counts down from 255 makes it look like sub-blocks."""
    raw = data.at(start, min(end - start, TEXT))
    xmp.read(raw.partition(b"\x01\xff\xfe\xfd")[0], draft)
