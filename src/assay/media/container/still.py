"""TIFF and BMP: what their headers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.media.container import exif
from assay.media.container.trailing import note_trailing

if TYPE_CHECKING:
    from assay.media.container.draft import Draft
    from assay.media.container.source import Source


def read_tiff(source: Source, draft: Draft) -> None:
    """Read the directories; a TIFF has no end, so nothing counts as trailing."""
    draft.part("header", 0, 8, source.upto(0, 2).decode("latin-1"))
    if source.upto(2, 2) in (b"+\0", b"\0+"):
        draft.warn("BigTIFF directories are not read")
        return
    try:
        exif.read(source, draft, pages=True)
    finally:
        draft.width = _pixels(draft, "exif:ImageWidth")
        draft.height = _pixels(draft, "exif:ImageLength")


def _pixels(draft: Draft, key: str) -> int:
    value = draft.metadata.get(key, "")
    return int(value) if value.isdigit() else 0


def read_bmp(source: Source, draft: Draft) -> None:
    """Read the two headers; the first one's size says where the sample should end."""
    size, _, _, start, header = source.unpack("<IHHII", 2)
    if header == 12:
        draft.width, draft.height = source.unpack("<HH", 18)
    else:
        width, height = source.unpack("<ii", 18)
        draft.width, draft.height = abs(width), abs(height)
        bits, compression = source.unpack("<HI", 28)
        draft.tag("bmp:header", f"{header} bytes, {bits} bit, compression {compression}")
    draft.part("header", 0, 14 + header)
    draft.part("pixels", start, max(min(size, source.size) - start, 0))
    if start < size < source.size:
        note_trailing(source, size, draft)
    elif size > source.size:
        draft.warn(f"the header announces {size} bytes, the sample has {source.size}")
