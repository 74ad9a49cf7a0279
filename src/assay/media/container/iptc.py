"""Photoshop image resources and the IPTC information interchange model (IIM 4.2) inside of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.media.container import xmp
from assay.media.container.draft import text_of

if TYPE_CHECKING:
    from assay.media.container.draft import Draft

RESOURCES = 512
DATASETS = 1024
_IIM, _XMP, _QUALITY, _DIGEST = 0x0404, 0x0424, 0x0406, 0x0425
_UTF8 = b"\x1b%G"  # ISO 2022 escape in 1:90

# Datasets of record 2
NAMES = {
    5: "ObjectName", 7: "EditStatus", 10: "Urgency", 12: "SubjectReference", 15: "Category", 20: "SupplementalCategories",
    22: "FixtureIdentifier", 25: "Keywords", 30: "ReleaseDate", 35: "ReleaseTime", 40: "SpecialInstructions",
    55: "DateCreated", 60: "TimeCreated", 62: "DigitalCreationDate", 63: "DigitalCreationTime", 65: "OriginatingProgram",
    70: "ProgramVersion", 75: "ObjectCycle", 80: "By-line", 85: "By-lineTitle", 90: "City", 92: "Sub-location",
    95: "Province-State", 100: "Country-PrimaryLocationCode", 101: "Country-PrimaryLocationName",
    103: "OriginalTransmissionReference", 105: "Headline", 110: "Credit", 115: "Source", 116: "CopyrightNotice",
    118: "Contact", 120: "Caption-Abstract", 121: "LocalCaption", 122: "Writer-Editor",
}  # fmt: skip


def read_resources(data: bytes, draft: Draft) -> None:
    """Walk ``8BIM`` resources: IPTC, XMP, Photoshop's JPEG quality, and which resources there are."""
    draft.spend(len(data))
    at = 0
    ids: list[str] = []
    while data[at : at + 4] in (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR") and len(ids) < RESOURCES:
        if at + 12 > len(data):
            break
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        name = data[at + 6] + 1
        at += 6 + name + name % 2
        size = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 4 + size]
        if len(body) < size:
            draft.warn("a Photoshop resource is cut short")
            break
        ids.append(f"{number:04x}")
        _resource(number, body, draft)
        at += 4 + size + size % 2
    draft.tag("photoshop:Resources", " ".join(ids))


def _resource(number: int, body: bytes, draft: Draft) -> None:
    if number == _IIM:
        read(body, draft)
    elif number == _XMP:
        xmp.read(body, draft)
    elif number == _QUALITY and len(body) >= 2:
        draft.tag("photoshop:Quality", int.from_bytes(body[:2], "big", signed=True) + 4)
    elif number == _DIGEST and len(body) == 16:
        draft.tag("photoshop:IPTCDigest", body.hex())


def read(data: bytes, draft: Draft) -> None:
    """Record the datasets of an IIM block; repeated ones, as keywords, joined by "; "."""
    draft.spend(len(data))
    at = 0
    utf8 = False
    values: dict[str, list[str]] = {}
    for _ in range(DATASETS):
        if data[at : at + 1] != b"\x1c" or at + 5 > len(data):
            break
        record, number, size = data[at + 1], data[at + 2], int.from_bytes(data[at + 3 : at + 5], "big")
        at += 5
        if size & 0x8000:  # an extended dataset: the low bits count the bytes of its length
            width = min(size & 0x7FFF, 8)
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        body = data[at : at + size]
        if len(body) < size:
            draft.warn("an IPTC dataset is cut short")
            break
        at += size
        if (record, number) == (1, 90):
            utf8 = body == _UTF8
        elif record == 2 and number in NAMES:
            text = body.decode("utf-8", "replace") if utf8 else text_of(body)
            values.setdefault(NAMES[number], []).append(text.strip("\0 "))
    for name, said in values.items():
        draft.tag(f"iptc:{name}", "; ".join(said))
