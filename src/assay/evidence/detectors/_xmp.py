"""Single properties of an XMP packet, read without an XML parser: packets are hostile and often broken."""

from __future__ import annotations

import html
import re
from itertools import islice

LONGEST = 1 << 20  # characters of a packet that are read
VALUES = 32  # values of one property that are kept


def properties(packet: str, *names: str) -> list[tuple[str, str]]:
    """List (local name, value) of the properties of these names, as attributes or elements, lists flattened.

    An element's value ends at the next tag of its own name; what stands between inner tags is split into items.
    """
    text = packet[:LONGEST]
    wanted = rf"([A-Za-z][\w-]{{0,39}}):({'|'.join(re.escape(n) for n in names)})"
    value = r"\s{0,9}=\s{0,9}(?:\"([^\"<]{1,4000})\"|'([^'<]{1,4000})')"
    attributes = re.finditer(rf"\s{wanted}{value}", text)
    found = [(m[2], m[3] or m[4]) for m in islice(attributes, VALUES)]
    for opened in islice(re.finditer(rf"<{wanted}(?:\s[^<>]{{0,400}})?>", text), VALUES):
        end = text.find(f"</{opened[1]}:{opened[2]}", opened.end(), opened.end() + 8000)
        if end >= 0 and opened[0][-2] != "/":
            found += [(opened[2], v) for v in re.split(r"<[^<>]{0,400}>", text[opened.end() : end])]
    return [(name, html.unescape(v).strip()) for name, v in found if v.strip()][: 2 * VALUES]
