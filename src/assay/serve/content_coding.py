"""Content codings of HTTP (RFC 9110, 8.4.1), undone within bounds: gzip and deflate."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from assay.serve.spool import BLOCK, Spool
from assay.serve.threads import in_thread

MOST_CODINGS = 3  # one upon another
MOST_MEMBERS = 1000  # of gzip, one after another: empty ones cost time and yield nothing
GZIP = frozenset({"gzip", "x-gzip"})
DEFLATE = "deflate"


class Undecodable(Exception):
    """A coding that is not known, or bytes that are not coded in it."""


async def decoded(spool: Spool, codings: list[str], folder: str | None, limit: int) -> Spool:
    """Undo the codings of a body, the last one first. The caller closes the new spool; the old one stays as it is.

    Raises
    ------
    Undecodable
        If a coding is not known, does not fit the bytes, or breaks off.
    OverSize
        If it unpacks to more than `limit` bytes.
    SpoolError
        If the disk is full.
    """
    if len(codings) > MOST_CODINGS:
        raise Undecodable("too many codings")
    current = spool
    for coding in reversed(codings):
        source, current = current, Spool(folder, limit)
        try:
            await in_thread(_decode, source, current, coding)
        except BaseException:
            current.close()
            raise
        finally:
            if source is not spool:
                source.close()
    return current


def _decode(source: Spool, target: Spool, coding: str) -> None:
    if coding not in GZIP and coding != DEFLATE:
        raise Undecodable("a coding that is not known")
    try:
        for data in _inflated(source, gzip=coding in GZIP):
            target.write(data)
    except zlib.error as e:
        raise Undecodable("not coded as declared") from e


def _inflated(source: Spool, *, gzip: bool) -> Iterator[bytes]:
    """Inflate block by block: what leaves at once is bounded, however well it was packed."""
    offset = 0
    packed = source.read(BLOCK, 0)
    if not packed:
        return
    for _ in range(MOST_MEMBERS):
        inflating = zlib.decompressobj(31 if gzip else _window(packed))
        while not inflating.eof:
            data = inflating.decompress(packed, BLOCK)
            yield data
            packed = inflating.unconsumed_tail
            if not packed and not inflating.eof:
                offset += BLOCK
                packed = source.read(BLOCK, offset)
                if not packed and not data:
                    raise Undecodable("it breaks off")
        packed = inflating.unused_data
        if not packed:
            offset += BLOCK
            packed = source.read(BLOCK, offset)
        if not gzip or not packed.startswith(b"\x1f\x8b"):
            return  # what stands behind the end is no part of the body
    raise Undecodable("too many members")


def _window(packed: bytes) -> int:
    """Deflate is meant to be zlib's format (RFC 1950), and is sent raw (RFC 1951) by some."""
    is_zlib = len(packed) >= 2 and packed[0] & 15 == 8 and int.from_bytes(packed[:2], "big") % 31 == 0
    return 15 if is_zlib else -15
