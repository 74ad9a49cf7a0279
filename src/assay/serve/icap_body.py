"""Bodies in ICAP: HTTP chunks, their extensions and trailers, and the marks around a preview (RFC 3507, 4.5)."""

from __future__ import annotations

import re

from assay.serve.icap_messages import Malformed
from assay.serve.wire import TooLong, Wire

LINE_BYTES = 1 << 12  # of a chunk's size and extensions, or of one trailer
MOST_TRAILERS = 64
SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;(.*))?", re.DOTALL)
LAST = b"0\r\n\r\n"


class Chunks:
    """Reads one body. After a preview that did not hold all of it, `go_on` and read further."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._left = 0  # of the chunk that is being read
        self.most: int | None = None  # bytes that may come before the end, if that was announced
        self.ended = False
        self.is_whole = False  # "ieof": the preview held the whole body

    async def some(self) -> bytes:
        """Read what there is of the body; b"" at its end or at that of the preview.

        Raises
        ------
        Malformed
            If these are no chunks.
        HungUp, TooSlow
        """
        if self.ended:
            return b""
        if not self._left:
            self._left = await self._size()
            if not self._left:
                await self._trailers()
                self.ended = True
                return b""
        data = await self._wire.some(self._left)
        self._left -= len(data)
        if not self._left and await self._wire.exactly(2) != b"\r\n":
            raise Malformed(400, "a chunk is longer than its size")
        return data

    def go_on(self) -> None:
        self.ended, self.most = False, None

    async def _size(self) -> int:
        found = SIZE.fullmatch(await self._line())
        if not found:
            raise Malformed(400, "a chunk has no size")
        extensions = (found[2] or b"").lower().split(b";")
        self.is_whole = self.is_whole or b"ieof" in (e.strip() for e in extensions)
        size = int(found[1], 16)
        if self.most is not None:
            self.most -= size
            if self.most < 0:
                raise Malformed(400, "a preview is longer than announced")
        return size

    async def _trailers(self) -> None:
        for _ in range(MOST_TRAILERS):
            if not await self._line():
                return
        raise Malformed(400, "too many trailers")

    async def _line(self) -> bytes:
        try:
            return await self._wire.line(b"\r\n", LINE_BYTES)
        except TooLong as e:
            raise Malformed(400, "a line between chunks is too long") from e


def chunk(data: bytes) -> bytes:
    """Write one chunk; nothing for no data, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
