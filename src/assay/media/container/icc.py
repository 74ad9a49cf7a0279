"""The few words in an ICC profile that tell who wrote it (ICC.1:2010)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.media.container.draft import label, text_of
from assay.media.container.source import Source

if TYPE_CHECKING:
    from assay.media.container.draft import Draft

_TEXTS = {b"desc": "description", b"cprt": "copyright", b"dmnd": "manufacturer", b"dmdd": "model"}


def read(profile: bytes, draft: Draft) -> None:
    """Record the profile's size, class, creator, description and copyright."""
    draft.spend(len(profile))
    source = Source.of(profile)
    if len(profile) < 132 or profile[36:40] != b"acsp":
        draft.warn("the ICC profile is malformed")
        return
    draft.tag("icc:size", len(profile))
    draft.tag("icc:creator", label(profile[80:84]))
    draft.tag("icc:space", label(profile[16:20]))
    (count,) = source.unpack(">I", 128)
    for k in range(min(count, 64)):
        entry = source.upto(132 + 12 * k, 12)
        if len(entry) == 12 and entry[:4] in _TEXTS:
            at, length = int.from_bytes(entry[4:8], "big"), int.from_bytes(entry[8:12], "big")
            draft.tag(f"icc:{_TEXTS[entry[:4]]}", _text(source.upto(at, min(length, 4096))))


def _text(element: bytes) -> str:
    if element[:4] == b"mluc":
        length, at = int.from_bytes(element[20:24], "big"), int.from_bytes(element[24:28], "big")
        return element[at : at + length].decode("utf-16-be", "replace")
    if element[:4] == b"desc":
        return text_of(element[12 : 12 + int.from_bytes(element[8:12], "big")].rstrip(b"\0"))
    return text_of(element[8:].rstrip(b"\0")) if element[:4] == b"text" else ""
