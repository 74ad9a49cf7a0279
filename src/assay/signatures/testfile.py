"""A harmless sample that is always found: it proves an installation the way EICAR's file does for antivirus programs.

The bytes are the same on every machine (no compressor's version plays a part), so that the SHA-256 can be shipped.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache

from assay.types import sha256_of

SIZE = 128  # pixels
NOTE = "Assay test file. It is harmless. Every installation of Assay reports it as a known fake."


def content() -> bytes:
    """Make the test file: a small PNG with diagonal stripes and a text that says what it is."""
    rows = b"".join(b"\0" + bytes(_stripe(x + y) for x in range(SIZE)) for y in range(SIZE))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, 8, 0, 0, 0, 0)),
            _chunk(b"tEXt", b"Comment\0" + NOTE.encode("latin-1")),
            _chunk(b"IDAT", _stored(rows)),
            _chunk(b"IEND", b""),
        )
    )


@cache
def digest() -> str:
    return sha256_of(content())


def known(sha256: str) -> str | None:
    """What the lookup of known digests answers for the test file; None for anything else."""
    return "known_fake:the test file of Assay" if sha256 == digest() else None


def _stripe(position: int) -> int:
    return 0xE0 if position // 16 % 2 else 0x30


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _stored(data: bytes) -> bytes:
    """Wrap `data` as a zlib stream without compression (RFC 1950, RFC 1951 3.2.4); at most 65,535 bytes."""
    return (
        b"\x78\x01\x01"
        + struct.pack("<HH", len(data), len(data) ^ 0xFFFF)
        + data
        + struct.pack(">I", zlib.adler32(data))
    )
