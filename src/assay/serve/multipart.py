"""Bodies of several parts (RFC 2046, 5.1; forms: RFC 7578), split without holding them in memory."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from assay.serve.http_message import HttpHead

BLOCK = 1 << 20  # bytes searched at once
MOST_PARTS = 100
HEAD_BYTES = 1 << 14
NO_LETTER = re.compile(rb"[^A-Za-z0-9+/]+")  # of base64


class TooManyParts(Exception):
    """More parts than anybody uploads at once."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where a part's content lies, and what its head says of it."""

    start: int
    end: int
    name: str = ""
    declared_type: str | None = None
    is_base64: bool = False  # RFC 7578 deprecates it, and Django still undoes it
    is_sound: bool = True  # its head can be told from its content


def parts(descriptor: int, size: int, boundary: bytes) -> list[Part]:
    """Find the parts that are not empty. Blocks: for a thread.

    Lenient where receivers are: a line may end without a carriage return, and the last boundary may be missing.

    Raises
    ------
    TooManyParts
    """
    found: list[Part] = []
    start: int | None = None
    for at, end, is_last in _boundaries(descriptor, size, boundary):
        if start is not None:
            found += _part(descriptor, start, _without_return(descriptor, at))
        start = None if is_last else end
        if len(found) > MOST_PARTS:
            raise TooManyParts
        if is_last:
            break
    if start is not None:
        found += _part(descriptor, start, size)
    return found


def _boundaries(descriptor: int, size: int, boundary: bytes) -> Iterator[tuple[int, int, bool]]:
    """Offsets of each line of boundary: of the line feed before it, and of its own end; and whether it is the last.

    Read in blocks that overlap by the longest such line; a search through all at once would keep every other thread
    waiting.
    """
    line = re.compile(rb"\n--" + re.escape(boundary) + rb"(--)?[ \t]{0,64}(?=\r?\n)")
    overlap = len(boundary) + 72
    offset = 0
    while offset < size:
        data = os.pread(descriptor, BLOCK, offset)
        window = (b"\n" if not offset else b"") + data  # the body's beginning counts as a line's
        shift = offset - len(window) + len(data)
        is_end = offset + len(data) >= size or not data
        if is_end:
            window += b"\n"
        for found in line.finditer(window):
            if is_end or found.start() < len(window) - overlap:
                yield shift + found.start(), min(size, shift + found.end()), found[1] is not None
        if is_end:
            return
        offset += len(data) - overlap


def content(descriptor: int, part: Part) -> Iterator[bytes]:
    """Read a part's content block by block, without its transfer coding. Blocks: for a thread."""
    carried, offset = b"", part.start
    while offset < part.end and (data := os.pread(descriptor, min(BLOCK, part.end - offset), offset)):
        offset += len(data)
        if part.is_base64:
            letters = carried + NO_LETTER.sub(b"", data)
            whole = len(letters) - len(letters) % 4
            data, carried = _unlettered(letters[:whole]), letters[whole:]
        yield data
    if len(carried) > 1:
        yield _unlettered(carried)


def _unlettered(letters: bytes) -> bytes:
    return base64.b64decode(letters + b"=" * (-len(letters) % 4))


def _without_return(descriptor: int, at: int) -> int:
    """A part ends before the line break, which may be one byte or two."""
    return at - 1 if at > 0 and os.pread(descriptor, 1, at - 1) == b"\r" else max(0, at)


def _part(descriptor: int, start: int, end: int) -> list[Part]:
    """Tell a part's head from its content, which may be empty. `start` is where the boundary's line breaks."""
    text = os.pread(descriptor, max(0, min(end - start, HEAD_BYTES)), start)
    found = re.search(rb"\r?\n\r?\n", text)
    if not found:  # no head that ends
        return [Part(start, end, is_sound=False)] if text.strip() else []
    head = HttpHead(b"part" + text[: found.start()])
    first = start + found.end()
    if first >= end:
        return []
    coding = head.headers.first("content-transfer-encoding") or "binary"
    is_sound = coding.lower() in ("7bit", "8bit", "binary", "base64")
    return [Part(first, end, head.name, head.media_type, coding.lower() == "base64", is_sound)]
