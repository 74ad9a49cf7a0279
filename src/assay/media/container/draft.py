"""A Container in the making: collects what readers find and keeps every list, text and table bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.media.container.source import Malformed
from assay.media.views import Container, Part

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTS = 4096
TAGS = 2048
VALUE = 1 << 20  # characters of one value
TEXT = 3 << 20  # characters of all values: six bytes each in JSON at worst, and an answer has 32 MiB
WARNINGS = 32
WORK = 32 << 20  # bytes of metadata that are read, unpacked and parsed: values in a hostile sample overlap
TABLES = 64


@dataclass
class Draft:
    media_type: str
    size: int
    sha256: str
    limits: Mapping[str, float] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    duration_s: float = 0.0
    parts: list[Part] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    quantisation: list[tuple[int, ...]] = field(default_factory=list)
    huffman: list[str] = field(default_factory=list)
    progressive: bool = False
    sampling: str = ""
    trailing: int = 0
    trailing_note: str = ""
    thumbnail: bytes = b""
    thumbnail_distance: float | None = None
    thumbnail_size: tuple[int, int] | None = None
    truncated: bool = False
    malformed: bool = False
    warnings: list[str] = field(default_factory=list)
    _text: int = 0
    _work: int = 0

    def part(self, kind: str, offset: int, length: int, note: str = "") -> None:
        """Record a structural unit. Neighbours that differ in nothing but place count as one (IDAT after IDAT)."""
        last = self.parts[-1] if self.parts else None
        if last and (last.kind, last.note) == (kind, note) and last.offset + last.length == offset:
            self.parts[-1] = Part(kind=kind, offset=last.offset, length=last.length + length, note=note)
        elif len(self.parts) < PARTS:
            self.parts.append(Part(kind=kind, offset=offset, length=length, note=note))
        else:
            self.truncated = True

    def tag(self, key: str, value: str | bytes | float) -> None:
        """Record one value. A second, different one for the same key becomes ``key#2`` and so on to 9."""
        text = plain(
            value if isinstance(value, str) else text_of(value) if isinstance(value, bytes) else str(value)
        )
        if len(text) > VALUE:
            text, self.truncated = text[:VALUE], True
        if not text:
            return
        slot = self._slot(plain(key)[:200], text)
        if slot is None:
            return
        if len(self.metadata) >= TAGS or self._text + len(text) > TEXT:
            self.truncated = True
            return
        self._text += len(text)
        self.metadata[slot] = text

    def _slot(self, key: str, text: str) -> str | None:
        if key not in self.metadata:
            return key
        for slot in (key, *(f"{key}#{n}" for n in range(2, 10))):
            if slot not in self.metadata:
                return slot
            if self.metadata[slot] == text:
                return None
        self.truncated = True
        return None

    def table(self, values: tuple[int, ...]) -> None:
        """Record a JPEG quantisation table."""
        if len(self.quantisation) < TABLES:
            self.quantisation.append(values)

    def code(self, name: str) -> None:
        """Record a JPEG Huffman table by its name."""
        if len(self.huffman) < TABLES:
            self.huffman.append(name)

    def spend(self, length: int) -> None:
        """Account for `length` bytes of metadata before they are worked on; Malformed once a sample had its share."""
        self._work += max(length, 0)
        if self._work > WORK:
            self.truncated = True
            raise Malformed("more metadata than any honest sample holds; the rest was not read")

    def warn(self, text: str) -> None:
        text = plain(text)[:300]
        if len(self.warnings) < WARNINGS and text not in self.warnings:
            self.warnings.append(text)

    def finish(self, credentials: dict[str, object] | None = None) -> Container:
        return Container(
            media_type=self.media_type,
            size=self.size,
            sha256=self.sha256,
            width=self.width,
            height=self.height,
            duration_s=self.duration_s,
            parts=tuple(self.parts),
            metadata=self.metadata,
            quantisation=tuple(self.quantisation),
            huffman=tuple(self.huffman),
            progressive=self.progressive,
            sampling=self.sampling,
            trailing=self.trailing,
            trailing_note=self.trailing_note,
            thumbnail_distance=self.thumbnail_distance,
            thumbnail_size=self.thumbnail_size,
            credentials=credentials or {},
            truncated=self.truncated,
            warnings=tuple(self.warnings),
        )


def plain(text: str) -> str:
    """Drop NULs and surrounding space, replace lone surrogates, so that any encoder takes the text."""
    if text.isascii():
        return (text.replace("\0", "") if "\0" in text else text).strip()
    return text.replace("\0", "").strip().encode("utf-8", "replace").decode("utf-8")


def text_of(raw: bytes) -> str:
    """Decode text of an unnamed charset: UTF-16 with a byte order mark, UTF-8, else Latin-1."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def label(raw: bytes) -> str:
    """Make a four-letter code or an identifier printable."""
    return "".join(chr(b) if 32 <= b < 127 else f"\\x{b:02x}" for b in raw[:64]).strip()
