"""Mail: attachments, inline media, mails within mails, pictures written into HTML as data: URLs."""

from __future__ import annotations

import base64
import binascii
import email
import re
from collections.abc import Iterator
from email.message import Message
from typing import BinaryIO

from assay.errors import Failed, Refused
from assay.media.unpack.archives import carries_media
from assay.media.unpack.member import Allowance, Member

DATA_URL = re.compile(rb"data:(?:image|video|audio)/[\w.+-]{1,64};base64,([A-Za-z0-9+/=\s]{16,})")
MOST_PARTS = 10_000


def mail_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """Everything in a mail that a reader could open: attachments of any kind; of its text only the pictures inside."""
    size = 1 << 30
    try:
        message = email.message_from_bytes(allowance.take(file.read(size)))
        for number, part in enumerate(_leaves(message)):
            if number > MOST_PARTS:
                raise Refused(
                    "too many parts", code="over_members", hint="No mail program writes such a mail."
                )
            yield from _part(part, number, allowance)
    except RecursionError as e:
        raise Refused(
            "nested too deeply", code="over_depth", hint="No mail program writes such a mail."
        ) from e


def _leaves(message: Message) -> Iterator[Message]:
    """All parts that hold content, mails within mails included."""
    waiting = [message]
    while waiting:
        part = waiting.pop(0)
        payload = part.get_payload()
        if isinstance(payload, list):
            waiting = [p for p in payload if isinstance(p, Message)] + waiting
        else:
            yield part


def _part(part: Message, number: int, allowance: Allowance) -> Iterator[Member]:
    name = _name(part) or f"part {number}"
    try:
        payload = part.get_payload(decode=True)
    except (binascii.Error, ValueError, LookupError, AssertionError) as e:
        yield Member(
            name, problem=Failed(f"cannot be decoded: {e}", code="undecodable", hint="Ask for it again.")
        )
        return
    if not isinstance(payload, bytes) or not payload.strip():
        return
    if part.get_content_maintype() == "text" and not carries_media(payload):
        for k, found in enumerate(DATA_URL.finditer(payload)):
            allowance.count()
            yield Member(f"{name} picture {k}", allowance.take(_lenient_base64(found[1])))
        return
    allowance.count()
    yield Member(name, allowance.take(payload))


def _name(part: Message) -> str:
    try:
        return str(part.get_filename() or "")
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ):  # the header parser trips over hostile headers
        return ""


def _lenient_base64(text: bytes) -> bytes:
    clean = re.sub(rb"[^A-Za-z0-9+/]", b"", text)
    clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
    return base64.b64decode(clean + b"=" * (-len(clean) % 4))
