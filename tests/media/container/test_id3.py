"""ID3 frames."""

from __future__ import annotations

import struct

import pytest

from assay.media.container import id3
from assay.media.container.draft import Draft
from assay.media.container.source import Malformed, Source


def tag(version: int, *frames: tuple[bytes, bytes], flags: int = 0) -> bytes:
    body = b""
    for name, content in frames:
        size = len(content)
        if version == 2:
            body += name + size.to_bytes(3, "big") + content
        elif version == 4:
            body += (
                name
                + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127, 0, 0])
                + content
            )
        else:
            body += name + struct.pack(">IH", size, 0) + content
    size = len(body)
    return (
        b"ID3"
        + bytes([version, 0, flags, size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
        + body
    )


def read(data: bytes) -> Draft:
    draft = Draft("audio/mpeg", len(data), "0")
    id3.read(Source.of(data), draft)
    return draft


@pytest.mark.parametrize(
    ("version", "name", "content", "text"),
    [
        (2, b"TT2", b"\0Title", "Title"),
        (3, b"TIT2", b"\1" + "Grüße".encode("utf-16"), "Grüße"),
        (4, b"TIT2", b"\3" + "Grüße".encode(), "Grüße"),
        (4, b"TIT2", b"\2" + "Grüße".encode("utf-16-be"), "Grüße"),
        (4, b"TIT2", b"\3One\0Two", "One; Two"),
    ],
)
def test_texts_of_every_version_and_charset_are_read(version, name, content, text):
    assert read(tag(version, (name, content))).metadata[f"id3:{name.decode()}"] == text


def test_users_own_texts_are_named_by_themselves():
    frame = (b"TXXX", b"\0generator\0a voice model")
    assert read(tag(3, frame)).metadata["id3:generator"] == "a voice model"


def test_comments_attachments_and_owners_are_noted():
    frames = (
        (b"COMM", b"\0engshort\0long words"),
        (b"APIC", b"\0image/png\0\3\0" + bytes(50)),
        (b"PRIV", b"owner\0data"),
    )
    metadata = read(tag(3, *frames)).metadata
    assert metadata["id3:COMM"] == "long words"
    assert metadata["id3:APIC"].startswith("image/png")
    assert metadata["id3:PRIV"] == "owner"


def test_a_manifest_store_in_an_attachment_is_noted():
    data = tag(3, (b"GEOB", b"\0application/c2pa\0\0c2pa manifest store\0" + bytes(30)))
    assert [p.note for p in read(data).parts] == ["C2PA"]


def test_a_frame_longer_than_its_tag_is_malformed():
    with pytest.raises(Malformed):
        read(tag(3, (b"TIT2", b"\0Title"))[:-3])


def test_the_length_of_a_tag_counts_seven_bits_a_byte():
    data = tag(3, (b"TIT2", b"\0" + b"x" * 300))
    assert id3.length_of(Source.of(data)) == len(data)
    assert id3.length_of(Source.of(b"nothing here")) == 0
