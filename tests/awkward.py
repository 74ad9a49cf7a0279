"""Small samples of every kind that is read, for tests that cut, wrap and bend them. Everything is seeded."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from functools import cache

from assay.testing import clips, images

OFFICE = {"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>"}


@cache
def jpeg(seed: int = 1) -> bytes:
    return images.jpeg(images.scene(96, 64, seed=seed))


@cache
def png(seed: int = 1) -> bytes:
    return images.png(images.scene(96, 64, seed=seed))


@cache
def frames() -> tuple:
    return tuple(images.scene(96, 64, seed=k) for k in range(3))


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def encrypted(data: bytes, member: int = 0) -> bytes:
    """Say of a member of a zip that it is encrypted: its flag in both headers."""
    bent = bytearray(data)
    for signature, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        for _ in range(member + 1):
            at = bent.index(signature, at + 1)
        bent[at + flag] |= 1
    return bytes(bent)


def tarred(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def mail(members: Mapping[str, bytes]) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.invalid", "b@example.invalid", "a test"
    message.set_content("see the picture")
    for name, data in members.items():
        message.add_attachment(data, maintype="image", subtype="jpeg", filename=name)
    return message.as_bytes()


def pdf(picture: bytes) -> bytes:
    """A PDF that holds one JPEG of 96 x 64 pixels."""
    head = b"<</Type/XObject/Subtype/Image/Width 96/Height 64/ColorSpace/DeviceRGB/BitsPerComponent 8"
    stream = b"%s/Filter/DCTDecode/Length %d>>stream\n%s\nendstream" % (head, len(picture), picture)
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(
        (b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>", stream), 1
    ):
        offsets.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 4\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % o for o in offsets)
    out += b"trailer<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start
    return bytes(out)


def film(**options) -> bytes:
    return clips.make_video(seconds=0.6, size=(96, 64), fps=10, **options)


KINDS: dict[str, Callable[[], bytes]] = {
    "a.jpg": jpeg,
    "b.jpg": lambda: images.jpeg(images.scene(96, 64, seed=2), progressive=True),
    "a.png": png,
    "b.png": lambda: images.animation(frames(), "PNG"),
    "a.webp": lambda: images.webp(images.scene(96, 64)),
    "b.webp": lambda: images.animation(frames(), "WEBP"),
    "a.gif": lambda: images.animation(frames()),
    "a.tif": lambda: images.encoded(images.scene(96, 64), "TIFF"),
    "a.bmp": lambda: images.encoded(images.scene(96, 64), "BMP"),
    "a.heic": lambda: images.heic(images.scene(96, 64)),
    "a.avif": lambda: images.encoded(images.scene(96, 64), "AVIF"),
    "a.mp4": lambda: film(audio="aac"),
    "a.webm": lambda: film(codec="libvpx-vp9", container="webm", audio="libopus"),
    "a.wav": lambda: clips.make_audio(seconds=0.5),
    "a.flac": lambda: clips.make_audio("flac", container="flac", seconds=0.5),
    "a.mp3": lambda: clips.make_audio("libmp3lame", container="mp3", rate_hz=44100, seconds=0.5),
    "a.ogg": lambda: clips.make_audio("libopus", container="ogg", rate_hz=48000, seconds=0.5),
    "a.zip": lambda: zipped({"in.jpg": jpeg(), "in.png": png()}),
    "a.tar": lambda: tarred({"in.jpg": jpeg()}),
    "a.eml": lambda: mail({"in.jpg": jpeg()}),
    "a.pdf": lambda: pdf(jpeg()),
    "a.docx": lambda: zipped(OFFICE | {"word/media/image1.jpeg": jpeg()}),
}


def made(name: str) -> bytes:
    return _made(name)


@cache
def _made(name: str) -> bytes:
    return KINDS[name]()


def webm_lasting(data: bytes, seconds: float) -> bytes:
    """Rewrite what a WebM's header says of its duration: element 0x4489, a double in milliseconds."""
    at = data.index(b"\x44\x89\x88") + 3
    return data[:at] + struct.pack(">d", 1000 * seconds) + data[at + 8 :]


def flac_lasting(data: bytes, samples: int) -> bytes:
    """Rewrite the total of samples in a FLAC's STREAMINFO: the low 36 bits of its bytes 10 to 17."""
    at = data.index(b"fLaC") + 8 + 10
    (fields,) = struct.unpack_from(">Q", data, at)
    return data[:at] + struct.pack(">Q", fields >> 36 << 36 | samples) + data[at + 8 :]


def mp4_sized(data: bytes, width: int, height: int) -> bytes:
    """Rewrite the size of the pictures in an MP4's sample entry."""
    at = data.index(b"avc1", data.index(b"stsd")) + 4 + 24
    return data[:at] + struct.pack(">HH", width, height) + data[at + 4 :]
