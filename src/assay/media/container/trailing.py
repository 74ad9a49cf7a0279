"""Bytes after the last structural unit: how many, and what they look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.media.identify import HEAD, TAIL, UNKNOWN, identify

if TYPE_CHECKING:
    from assay.media.container.draft import Draft
    from assay.media.container.source import Source

_SHORT = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "video/mp4": "mp4",
    "video/quicktime": "mp4",
    "application/zip": "zip",
    "application/java-archive": "zip",
    "application/vnd.rar": "rar",
    "application/x-7z-compressed": "7z",
    "application/pdf": "pdf",
    "application/gzip": "gzip",
    "text/html": "html",
}
_DIRECTORY_END = b"PK\x05\x06"  # a zip archive is found from its end, so anything may stand before it


def note_trailing(source: Source, end: int, draft: Draft, *, expected: int = 0) -> None:
    """Record what follows `end`, where the container's own structure stops.

    Parameters
    ----------
    expected : int
        Bytes that another structure accounts for: the further pictures that a JPEG's MPF index names.
    """
    trailing = source.size - end
    if trailing <= 0:
        return
    draft.trailing = trailing
    draft.trailing_note = (
        "mpf" if expected and trailing <= expected else kind_of(source.window(end, trailing))
    )


def kind_of(rest: Source) -> str:
    """Name the kind of bytes in a window: zip, jpeg, mp4, zeros, text ... or unknown."""
    head = rest.upto(0, HEAD)
    tail = rest.upto(
        max(rest.size - 65_557, 0), 65_557
    )  # the longest comment of a zip directory end, and that
    found = identify(head, tail[-TAIL:], rest.size)
    if found in _SHORT:
        return _SHORT[found]
    if found.startswith(("image/", "video/", "audio/")):
        return found.partition("/")[2]
    if tail[-4:] == b"SEFT" or b"SEFH" in tail[-4096:]:
        return "samsung"
    if _DIRECTORY_END in tail:
        return "zip"
    if head[:4] in (b"AXS!", b"AXS*") or tail[-12:-8] in (b"AXS!", b"AXS*"):
        return "afcp"
    if not head.strip(b"\0") and _only_zeros(rest):
        return "zeros"
    stripped = head.lstrip(b"\0\r\n ")
    if stripped != head and stripped:
        found = identify(stripped, tail[-TAIL:], len(stripped))
        if found in _SHORT:
            return _SHORT[found]
    return (
        "text"
        if found.startswith(("text/", "application/xml", "application/json")) and found != UNKNOWN
        else "unknown"
    )


def _only_zeros(rest: Source) -> bool:
    return all(not data.strip(b"\0") for _, data in rest.chunks(0, min(rest.size, 8 << 20)))
