"""Text that strangers chose (names, metadata, reasons), made fit to be shown to people.

A terminal obeys control characters, a reader is fooled by bidirectional and invisible ones, a spreadsheet runs what
begins with a formula sign. Everything of foreign origin passes through here exactly once, on its way out.
"""

from __future__ import annotations

import unicodedata

# Letters, marks and symbols by category, yet invisible on the screen: Hangul fillers, the empty Braille cell, the
# grapheme joiner, Khmer and Mongolian inherent vowels and selectors.
INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\u180b\u180c\u180d\u180f")
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # and their full-width twins
MARKS = 4  # combining marks in a row that real writing needs; more only smear over the lines around


def printable(text: str, limit: int | None = None) -> str:
    r"""Escape what a terminal or a reader could be fooled by; one line, always encodable as UTF-8.

    Control, format (bidi, zero-width), private and unassigned characters become ``\n``, ``\x1b``, ``\u202e``;
    bytes that were not UTF-8 (surrogate escapes) become ``\xff``; a backslash is doubled, so that every result has one
    meaning only. `limit` cuts in the middle, so that beginning and extension both stay.

    Examples
    --------
    >>> printable("cat\x1b[31m.jpg")
    'cat\\x1b[31m.jpg'
    >>> printable("a-very-long-name.jpeg", limit=13)
    'a-very-….jpeg'
    """
    if text.isascii() and text.isprintable() and "\\" not in text:  # nearly always
        return _shortened(text, limit)
    out: list[str] = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        hidden = category in HIDDEN or char in INVISIBLE or marks > MARKS or _selects(char)
        out.append(_escaped(char) if hidden or char == "\\" else char)
    return _shortened("".join(out), limit)


def csv_cell(text: str) -> str:
    """Make `text` safe as the content of a CSV cell; quoting is left to the csv module.

    Examples
    --------
    >>> csv_cell("=HYPERLINK(1)")
    "'=HYPERLINK(1)"
    """
    plain = printable(text)
    risky = plain.lstrip()[:1] in FORMULA or text[:1] in {"\t", "\r", "\n"}
    return f"'{plain}" if risky and plain else plain


def _selects(char: str) -> bool:
    """A variation selector of the supplement: it can carry a hidden message behind any letter."""
    return "\U000e0100" <= char <= "\U000e01ef"


def _escaped(char: str) -> str:
    if char in SHORT:
        return SHORT[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: the byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _shortened(text: str, limit: int | None) -> str:
    if limit is None or len(text) <= limit:
        return text
    tail = max((limit - 1) // 2 - 1, 0)
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"
