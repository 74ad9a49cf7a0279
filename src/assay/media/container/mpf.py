"""The multi-picture index of a JPEG (CIPA DC-007): further pictures behind the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.media.container.source import Malformed

if TYPE_CHECKING:
    from assay.media.container.draft import Draft
    from assay.media.container.source import Source

_ENTRIES = 0xB002
PICTURES = 64


def read(source: Source, draft: Draft) -> int:
    """Record how many pictures the index names; return the bytes that those after the first take together."""
    order = {b"II": "<", b"MM": ">"}.get(source.upto(0, 2))
    if order is None:
        raise Malformed("the multi-picture index has no byte order")
    (at,) = source.unpack(order + "I", 4)
    (count,) = source.unpack(order + "H", at)
    total = 0
    for k in range(min(count, 32)):
        tag, _kind, length, value = source.unpack(order + "HHII", at + 2 + 12 * k)
        if tag != _ENTRIES:
            continue
        pictures = min(length // 16, PICTURES)
        draft.tag("mpf:NumberOfImages", pictures)
        for p in range(1, pictures):
            _attributes, size, _offset = source.unpack(order + "III", value + 16 * p)
            total += size
    return total
