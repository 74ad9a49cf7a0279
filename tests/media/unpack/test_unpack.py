from __future__ import annotations

import base64
import gzip
import io
import struct
import tarfile
import zipfile
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from assay.errors import AssayError, Failed, Refused, Unsupported
from assay.media.unpack import members

LIMITS: dict[str, Any] = {
    "frames": 4096,
    "members": 20,
    "unpacked_bytes": 8 << 20,
    "ratio": 200.0,
    "pixels": 10**6,
}


def png(colour: int = 200, size: int = 16) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (size, size), (colour, 10, 20)).save(out, "PNG")
    return out.getvalue()


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 32), (90, 10, 20)).save(out, "JPEG")
    return out.getvalue()


def zipped(contents: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return out.getvalue()


def unpacked(data: bytes, media_type: str, **changes: Any) -> dict[str, Any]:
    found = members(io.BytesIO(data), media_type, LIMITS | changes)
    return {m.name: m.problem or m.data for m in found}


def test_a_zip_yields_its_files() -> None:
    assert unpacked(zipped({"a/b.png": png(), "c.txt": b"hello"}), "application/zip") == {
        "a/b.png": png(),
        "c.txt": b"hello",
    }


def test_a_bomb_is_refused_by_its_ratio() -> None:
    with pytest.raises(Refused) as e:
        unpacked(zipped({"bomb": bytes(4 << 20)}), "application/zip")
    assert e.value.code == "over_ratio"
    assert e.value.hint


def test_a_zip_that_unpacks_to_too_much_is_refused() -> None:
    many = {str(i): bytes(range(256)) * 4096 for i in range(9)}
    with pytest.raises(Refused) as e:
        unpacked(zipped(many, zipfile.ZIP_STORED), "application/zip")
    assert e.value.code == "over_unpacked"


def test_too_many_members_are_refused() -> None:
    with pytest.raises(Refused) as e:
        unpacked(zipped({str(i): b"x" for i in range(21)}), "application/zip")
    assert e.value.code == "over_members"


def test_an_encrypted_member_says_so_and_the_others_are_read() -> None:
    data = bytearray(zipped({"locked": b"secret" * 10, "open": b"plain"}, zipfile.ZIP_STORED))
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    data[local + 6] |= 1
    data[central + 8] |= 1
    found = unpacked(bytes(data), "application/zip")
    assert isinstance(found["locked"], Refused)
    assert found["locked"].code == "encrypted"
    assert found["open"] == b"plain"


def test_a_damaged_member_does_not_hide_the_others() -> None:
    data = bytearray(zipped({"bad": bytes(range(256)) * 8, "good": b"fine"}))
    data[45] ^= 0xFF
    found = unpacked(bytes(data), "application/zip")
    assert isinstance(found["bad"], Failed)
    assert found["good"] == b"fine"


def test_of_an_office_file_only_media_are_yielded() -> None:
    contents = {"word/document.xml": b"<w:document/>", "word/media/image1.png": png()}
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert unpacked(zipped(contents), kind) == {"word/media/image1.png": png()}


def test_a_tar_yields_regular_files_only() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a.png")
        info.size = len(png())
        archive.addfile(info, io.BytesIO(png()))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert unpacked(out.getvalue(), "application/x-tar") == {"a.png": png()}


def test_a_gzip_yields_what_it_holds(tmp_path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(png()))
    with path.open("rb") as file:
        (member,) = members(file, "application/gzip", LIMITS)
    assert member.data == png()


def test_a_mail_yields_attachments_mails_within_and_pictures_in_html() -> None:
    inner = EmailMessage()
    inner["Subject"] = "inner"
    inner.add_attachment(png(1), maintype="image", subtype="png", filename="inner.png")
    mail = EmailMessage()
    mail["Subject"] = "outer"
    mail.set_content("see the picture")
    url = base64.b64encode(png(2)).decode()
    mail.add_alternative(f'<img src="data:image/png;base64,{url}">', subtype="html")
    mail.add_attachment(png(3), maintype="image", subtype="png", filename="outer.png")
    mail.add_attachment(inner)
    found = unpacked(mail.as_bytes(), "message/rfc822")
    assert found.pop("outer.png") == png(3)
    assert found.pop("inner.png") == png(1)
    assert list(found.values()) == [png(2)]


def tnef(*attachments: tuple[str, bytes]) -> bytes:
    def attribute(identifier: int, value: bytes) -> bytes:
        return struct.pack("<BII", 2, identifier, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF)

    out = struct.pack("<IH", 0x223E9F78, 1)
    for name, data in attachments:
        out += attribute(0x00069002, bytes(14)) + attribute(0x00018010, name.encode() + b"\0")
        out += attribute(0x0006800F, data)
    return out


def test_winmail_dat_yields_its_attachments() -> None:
    data = tnef(("a.png", png(1)), ("b.png", png(2)))
    assert unpacked(data, "application/vnd.ms-tnef") == {"a.png": png(1), "b.png": png(2)}


def pdf(*streams: tuple[str, bytes]) -> bytes:
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[]/Count 0>>",
        *(b"<<%s/Length %d>>stream\n%s\nendstream" % (head.encode(), len(d), d) for head, d in streams),
    ]
    for number, body in enumerate(bodies, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    out += b"".join(b"%010d 00000 n \n" % o for o in offsets)
    out += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(bodies) + 1, start)
    return bytes(out)


def test_jpegs_come_out_of_a_pdf_byte_for_byte() -> None:
    head = "/Type/XObject/Subtype/Image/Width 32/Height 32/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode"
    (data,) = unpacked(pdf((head, jpeg())), "application/pdf").values()
    assert data == jpeg()


def test_raw_samples_in_a_pdf_become_a_png() -> None:
    head = "/Type/XObject/Subtype/Image/Width 4/Height 2/ColorSpace/DeviceRGB/BitsPerComponent 8"
    (data,) = unpacked(pdf((head, bytes(range(24)))), "application/pdf").values()
    assert Image.open(io.BytesIO(data)).tobytes() == bytes(range(24))


def test_an_animation_yields_later_stills_spread_over_it() -> None:
    frames = [Image.new("RGB", (8, 8), (i * 6, 0, 0)) for i in range(40)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    found = unpacked(out.getvalue(), "image/gif")
    assert len(found) == 15
    assert all(name.endswith(".png") for name in found)


def test_an_unknown_archive_says_what_to_do() -> None:
    with pytest.raises(Unsupported, match="not unpacked"):
        unpacked(b"Rar!", "application/vnd.rar")


MADE = {
    "application/zip": zipped({"a.png": png(), "b": b"text"}),
    "message/rfc822": b"From: a@b\nMIME-Version: 1.0\nContent-Type: image/png\n"
    b"Content-Transfer-Encoding: base64\n\n" + base64.b64encode(png()),
    "application/vnd.ms-tnef": tnef(("a.png", png())),
    "application/pdf": pdf(("/Subtype/Image/Filter/DCTDecode", jpeg())),
}


@pytest.mark.parametrize("media_type", MADE)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_containers_raise_nothing_but_our_own_errors(media_type: str, data: st.DataObject) -> None:
    sample = bytearray(MADE[media_type])
    for _ in range(data.draw(st.integers(1, 6))):
        sample[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(sample)))
    try:
        for member in members(io.BytesIO(bytes(sample[:cut])), media_type, LIMITS):
            assert member.problem is not None or isinstance(member.data, bytes)
    except AssayError as e:
        assert e.message
