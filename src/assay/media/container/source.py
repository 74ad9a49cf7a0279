"""Bounded reads of hostile bytes: nothing is read beyond the measured size, and no length in a header is believed."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from assay.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_LIMIT = 64 << 20  # bytes that one read may ask for
CHUNK = 1 << 20


class Malformed(Failed):
    """A structure that contradicts itself or ends too early. Readers turn it into a warning."""

    code = "malformed"


class Source:
    """A window on a file: offsets count from its start, and no read leaves it."""

    def __init__(self, file: BinaryIO, size: int, start: int = 0) -> None:
        self._file = file
        self._start = start
        self.size = max(size, 0)

    @classmethod
    def of(cls, data: bytes) -> Source:
        return cls(BytesIO(data), len(data))

    def file(self) -> BinaryIO:
        """The file itself, at the window's start, for decoders that want one."""
        self._file.seek(self._start)
        return self._file

    def window(self, offset: int, length: int) -> Source:
        """A part of this window, cut where this one ends."""
        offset = min(max(offset, 0), self.size)
        return Source(self._file, min(max(length, 0), self.size - offset), self._start + offset)

    def upto(self, offset: int, length: int) -> bytes:
        """Read at most `length` bytes, fewer at the end."""
        length = min(length, self.size - offset, READ_LIMIT)
        if offset < 0 or length <= 0:
            return b""
        try:
            self._file.seek(self._start + offset)
            data = self._file.read(length)
            while data and len(data) < length:  # a raw file may answer with less
                more = self._file.read(length - len(data))
                if not more:
                    break
                data += more
        except OSError as e:
            raise Failed(
                f"the sample could not be read: {e.strerror}", code="unreadable", hint="Try again."
            ) from e
        return data or b""

    def exactly(self, offset: int, length: int) -> bytes:
        """Read `length` bytes or raise Malformed."""
        data = self.upto(offset, length)
        if len(data) != length:
            raise Malformed(f"{length} bytes were announced at offset {offset}, {len(data)} are there")
        return data

    def unpack(self, form: str, offset: int) -> tuple[Any, ...]:
        """Read numbers in the format of `struct`."""
        return struct.unpack(form, self.exactly(offset, struct.calcsize(form)))

    def chunks(self, offset: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Read [offset, end) piece by piece: (offset, bytes). The first pieces are small: most searches end there."""
        end = min(end, self.size)
        length = 1 << 14
        while offset < end:
            data = self.upto(offset, min(length, end - offset))
            if not data:
                return
            yield offset, data
            offset += len(data)
            length = min(4 * length, CHUNK)
