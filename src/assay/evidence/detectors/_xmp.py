"""Single properties of an XMP packet, read without an XML parser: packets are hostile and often broken."""

from __future__ import annotations

import html
import re
from itertools import islice

LONGEST = 1 << 20  # characters of a packet that are read
VALUES = 32  # values of one property that are kept


def properties(packet: str, *names: str) -> list[str]:
    """List the values of the properties of these local names, as attributes or elements, lists flattened.

    An element's value ends at the next tag of its own name; what stands between inner tags is split into items.
    """
    text = packet[:LONGEST]
    wanted = "|".join(re.escape(n) for n in names)
    value = r"\s{0,9}=\s{0,9}(?:\"([^\"<]{1,4000})\"|'([^'<]{1,4000})')"
    attributes = re.finditer(rf"(?<![\w-])[\w-]{{1,40}}:(?:{wanted}){value}", text)
    found = [m[1] or m[2] for m in islice(attributes, VALUES)]
    elements = re.finditer(rf"<([\w-]{{1,40}}:(?:{wanted}))(?:\s[^<>]{{0,400}})?(?<!/)>", text)
    for opened in islice(elements, VALUES):
        end = text.find(f"</{opened[1]}", opened.end(), opened.end() + 8000)
        if end >= 0:
            found += re.split(r"<[^<>]{0,400}>", text[opened.end() : end])
    return [html.unescape(v).strip() for v in found if v.strip()][:VALUES]
