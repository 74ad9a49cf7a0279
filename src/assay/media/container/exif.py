"""EXIF and TIFF directories: names, places, maker notes, comments, and where the thumbnail lies."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.media.container import icc, iptc, xmp
from assay.media.container.draft import label, plain, text_of
from assay.media.container.exif_names import EXIF, GPS, INTEROP, MAKERS, TIFF
from assay.media.container.source import Malformed

if TYPE_CHECKING:
    from assay.media.container.draft import Draft
    from assay.media.container.source import Source

DIRECTORIES = 64
ENTRIES = 1024
BYTES = 1 << 20  # of one text
NUMBERS = 64  # of one value
THUMBNAIL = 4 << 20

_FORMS = {
    1: "B",
    2: "s",
    3: "H",
    4: "I",
    5: "II",
    6: "b",
    7: "s",
    8: "h",
    9: "i",
    10: "ii",
    11: "f",
    12: "d",
    13: "I",
}
_EXIF, _GPS, _INTEROP, _SUBS = 0x8769, 0x8825, 0xA005, 0x014A
_XMP, _IPTC, _PHOTOSHOP, _ICC, _C2PA = 0x02BC, 0x83BB, 0x8649, 0x8773, 0xCD41
_MAKER, _COMMENT = 0x927C, 0x9286
_WIDE_TEXT = range(0x9C9B, 0x9CA0)  # Windows writes UTF-16 without a mark


@dataclass
class _Reading:
    source: Source
    order: str
    draft: Draft
    seen: set[int]
    thumbnails: bool


def read(source: Source, draft: Draft, *, thumbnails: bool = False, pages: bool = False) -> int:
    """Read the directories of a TIFF structure.

    Parameters
    ----------
    source : Source
        Begins at the byte order mark; offsets in the structure count from here.
    thumbnails : bool
        The second directory describes a thumbnail: keep its bytes.
    pages : bool
        This is a TIFF picture: further directories are pages.

    Returns
    -------
    end : int
        Where the last directory or value that was read ends.
    """
    order = {b"II": "<", b"MM": ">"}.get(source.upto(0, 2))
    if order is None:
        raise Malformed("EXIF has no byte order mark")
    magic, at = source.unpack(order + "HI", 2)
    if magic not in (0x2A, 0x55, 0x4F52, 0x5352):  # TIFF, and Panasonic's and Olympus' own
        raise Malformed(f"EXIF has an unknown magic number {magic}")
    reading = _Reading(source, order, draft, set(), thumbnails)
    prefix, page = "exif", 0
    while at and at not in reading.seen and page < DIRECTORIES:
        at = _directory(reading, at, TIFF, prefix)
        page += 1
        prefix = "exif.thumbnail" if not pages else f"exif.page{page}"
    if pages:
        draft.tag("tiff:Pages", page)
    return max(reading.seen, default=0)


def _directory(reading: _Reading, at: int, names: dict[int, str], prefix: str) -> int:
    """Record one directory; return the offset of the next one, 0 where there is none."""
    if at in reading.seen or len(reading.seen) >= DIRECTORIES:
        return 0
    reading.seen.add(at)
    source, order = reading.source, reading.order
    (count,) = source.unpack(order + "H", at)
    entries = source.upto(at + 2, 12 * min(count, ENTRIES))
    if len(entries) < 12 * count:
        reading.draft.warn(f"an EXIF directory announces {count} entries and holds {len(entries) // 12}")
    thumbnail = {}
    for k in range(len(entries) // 12):
        tag, form, length, _ = struct.unpack_from(order + "HHII", entries, 12 * k)
        if form not in _FORMS:
            continue
        size = struct.calcsize("=" + _FORMS[form]) * length
        place = at + 2 + 12 * k + 8 if size <= 4 else struct.unpack_from(order + "I", entries, 12 * k + 8)[0]
        if prefix == "exif.thumbnail" and tag in (0x0201, 0x0202):
            thumbnail[tag] = _number(source, order, form, place)
        _entry(reading, tag, form, length, place, size, names, prefix)
    if len(thumbnail) == 2 and reading.thumbnails:
        _thumbnail(reading, thumbnail[0x0201], thumbnail[0x0202])
    following = source.upto(at + 2 + 12 * count, 4)
    return int.from_bytes(following, "little" if order == "<" else "big") if len(following) == 4 else 0


def _number(source: Source, order: str, form: int, place: int) -> int:
    try:
        return int(source.unpack(order + _FORMS[form][0], place)[0]) if form in (3, 4, 13) else 0
    except Malformed:
        return 0


def _thumbnail(reading: _Reading, offset: int, length: int) -> None:
    data = reading.source.upto(offset, min(length, THUMBNAIL))
    if data[:2] == b"\xff\xd8" and not reading.draft.thumbnail:
        reading.draft.thumbnail = data
    if len(data) < length:
        reading.draft.warn("the EXIF thumbnail is cut short")


def _entry(
    reading: _Reading,
    tag: int,
    form: int,
    length: int,
    place: int,
    size: int,
    names: dict[int, str],
    prefix: str,
) -> None:
    source, draft, order = reading.source, reading.draft, reading.order
    try:
        draft.spend(min(size, source.size, BYTES) + 12)
        if tag in (_EXIF, _GPS, _INTEROP, _SUBS):
            _children(reading, tag, form, length, place, prefix)
        elif tag in (_XMP, _IPTC, _PHOTOSHOP, _ICC, _C2PA) and names is TIFF:
            _block(tag, source, place, size, draft)
        elif tag == _MAKER:
            _maker_note(source.upto(place, min(size, 64)), size, draft)
        elif tag == _COMMENT:
            draft.tag(f"{prefix}:UserComment", user_comment(source.upto(place, min(size, BYTES)), order))
        elif tag in names:
            draft.tag(f"{prefix}:{names[tag]}", _value(source, order, tag, form, length, place, size))
        elif form == 2 and names is not GPS:
            draft.tag(
                f"{prefix}:0x{tag:04X}", text_of(source.upto(place, min(size, 4096)).partition(b"\0")[0])
            )
    except Malformed as e:
        draft.warn(f"EXIF tag 0x{tag:04X}: {e.message}")


def _children(reading: _Reading, tag: int, form: int, length: int, place: int, prefix: str) -> None:
    names, below = {
        _EXIF: (EXIF, prefix),
        _GPS: (GPS, "gps"),
        _INTEROP: (INTEROP, prefix),
        _SUBS: (TIFF, "exif.sub"),
    }[tag]
    if form not in (4, 13):
        raise Malformed("a directory whose place is no offset")
    for k in range(min(length, 8)):
        (at,) = reading.source.unpack(reading.order + "I", place + 4 * k)
        _directory(reading, at, names, below)


def _block(tag: int, source: Source, place: int, size: int, draft: Draft) -> None:
    if tag == _C2PA:
        draft.part("IFD0/C2PA", place, size, "C2PA")
        return
    data = source.exactly(place, min(size, 8 << 20))
    if tag == _XMP:
        xmp.read(data, draft)
    elif tag == _IPTC:
        iptc.read(data, draft)
    elif tag == _PHOTOSHOP:
        iptc.read_resources(data, draft)
    else:
        icc.read(data, draft)


def _maker_note(head: bytes, size: int, draft: Draft) -> None:
    """Name the maker that a note's first bytes give away; "unnamed" where it is a bare directory."""
    maker = next((name for magic, name in MAKERS if head.startswith(magic)), "unnamed")
    draft.tag("exif:MakerNote", maker)
    draft.tag("exif:MakerNoteLength", size)


def user_comment(raw: bytes, order: str = ">") -> str:
    """Decode UserComment by the charset that its first eight bytes name; UTF-16 in whichever order reads better."""
    charset, body = raw[:8].rstrip(b"\0 "), raw[8:]
    if charset == b"UNICODE":
        native, foreign = ("utf-16-le", "utf-16-be") if order == "<" else ("utf-16-be", "utf-16-le")
        if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return plain(body.decode("utf-16", "replace"))
        zeros = (body[0:512:2].count(0), body[1:512:2].count(0))
        if zeros[0] != zeros[1]:  # Latin text has its zeros on one side
            native = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        elif foreign and not body:
            return ""
        return plain(body.decode(native, "replace"))
    if charset == b"JIS":
        return plain(body.decode("iso2022_jp", "replace"))
    if charset in (b"ASCII", b""):
        return plain(text_of(body))
    return plain(text_of(raw))


def _value(source: Source, order: str, tag: int, form: int, length: int, place: int, size: int) -> str:
    if form in (2, 7):
        return _words(source.exactly(place, min(size, BYTES)), tag, form)
    if tag in _WIDE_TEXT and form == 1:
        return plain(source.exactly(place, min(size, BYTES)).decode("utf-16-le", "replace"))
    count = min(length, NUMBERS)
    numbers = source.unpack(order + _FORMS[form] * count, place)
    if form in (5, 10):
        said = [_ratio(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    else:
        said = [f"{n:g}" if isinstance(n, float) else str(n) for n in numbers]
    return " ".join(said)


def _words(raw: bytes, tag: int, form: int) -> str:
    if form == 2:
        return text_of(raw.partition(b"\0")[0]) or text_of(raw.strip(b"\0"))
    if tag in (0x9000, 0xA000, 0x0002):  # versions: four digits
        return label(raw[:8])
    if tag in (27, 28):  # GPS texts with a charset, as UserComment
        return user_comment(raw)
    return raw.hex() if len(raw) <= 16 else f"{len(raw)} bytes"


def _ratio(numerator: int, denominator: int) -> str:
    if denominator in (0, 1) or numerator % denominator:
        return str(numerator) if denominator == 1 else f"{numerator}/{denominator}"
    return str(numerator // denominator)
