"""TNEF ("winmail.dat"), in which some mail programs wrap attachments. [MS-OXTNEF]"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from assay.errors import Failed
from assay.media.unpack.member import Allowance, Member

SIGNATURE = 0x223E9F78
ATTACHMENT = 2  # level of an attribute: 1 is the message, 2 an attachment
RENDERING, TITLE, DATA = 0x9002, 0x8010, 0x800F  # attAttachRendData begins an attachment; its name; its bytes


def tnef_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """The attachments with their names; the message's own properties are passed over."""
    head = file.read(6)
    if len(head) < 6 or struct.unpack("<I", head[:4])[0] != SIGNATURE:
        raise Failed("this is not TNEF", code="undecodable", hint="It may have been cut off on its way.")
    name, data = "", b""
    for attribute, value in _attributes(file, allowance):
        if attribute == RENDERING:
            if data:
                yield Member(name or "attachment", data)
            name, data = "", b""
            allowance.count()
        elif attribute == TITLE:
            name = value.rstrip(b"\0").decode("cp1252", "replace")
        elif attribute == DATA:
            data = value
    if data:
        yield Member(name or "attachment", data)


def _attributes(file: BinaryIO, allowance: Allowance) -> Iterator[tuple[int, bytes]]:
    while len(head := file.read(9)) == 9:
        level, attribute, length = struct.unpack("<BII", head)
        value = file.read(min(length, 1 << 30))
        if len(value) < length:
            return  # cut off: what came before stands
        file.read(2)  # a checksum that no program checks
        if level == ATTACHMENT:
            yield attribute & 0xFFFF, allowance.take(value)
