"""Makers of containers: minimal samples of every kind, and pictures with metadata, hidden text and things behind them.

All is bytes in memory and the same every time. Samples for `read_container` need not decode: most have no media data.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from assay.testing import images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from assay.media.views import Container

EICAR_LIKE = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$ASSAY-STANDARD-TEST-FILE!$H+H*"
A1111 = (
    "a harbour at dawn, oil painting\nNegative prompt: people\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 4711, Size: 512x512, Model hash: 6ce0161689, Model: v1-5"
)
COMFYUI = {
    "prompt": '{"3": {"class_type": "KSampler", "inputs": {"seed": 4711, "steps": 20, "cfg": 8}},'
    ' "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}}}',
    "workflow": '{"last_node_id": 4, "nodes": [{"id": 3, "type": "KSampler"}], "links": [], "version": 0.4}',
}
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def jpeg(width: int = 64, height: int = 48, *, quality: int = 85) -> bytes:
    return images.jpeg(images.scene(width, height), quality=quality)


def segment(marker: int, body: bytes) -> bytes:
    """A JPEG segment with its length."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(picture: bytes, *segments: bytes) -> bytes:
    """Put segments right behind SOI."""
    return picture[:2] + b"".join(segments) + picture[2:]


def exif_block(tags: Mapping[int, str | int | bytes], *, thumbnail: bytes = b"", order: str = "<") -> bytes:
    """A TIFF structure: text, short numbers or undefined bytes in IFD0 (0x8000 and over: in the EXIF directory)."""
    low = {tag: value for tag, value in tags.items() if tag < 0x8000 or tag == 0x8298}
    high = {tag: value for tag, value in tags.items() if tag not in low}
    start = 8
    first_size = 2 + 12 * (len(low) + bool(high)) + 4
    exif_at = start + first_size + _heap_size(low)
    second_at = exif_at + (2 + 12 * len(high) + 4 + _heap_size(high) if high else 0)
    first = _directory(
        {**low, **({0x8769: exif_at} if high else {})}, start, order, second_at if thumbnail else 0
    )
    parts = [struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, start), first]
    if high:
        parts.append(_directory(high, exif_at, order, 0))
    if thumbnail:
        at = second_at + 2 + 12 * 3 + 4
        parts.append(
            _directory({0x0103: 6, 0x0201: at, 0x0202: len(thumbnail)}, second_at, order, 0) + thumbnail
        )
    return b"".join(parts)


def _heap_size(tags: Mapping[int, str | int | bytes]) -> int:
    return sum(len(v) for v in map(_raw, tags.values()) if v is not None and len(v) > 4)


def _raw(value: str | int | bytes) -> bytes | None:
    if isinstance(value, int):
        return None
    return value.encode("utf-8") + b"\0" if isinstance(value, str) else value


def _directory(tags: Mapping[int, str | int | bytes], at: int, order: str, following: int) -> bytes:
    heap = b""
    heap_at = at + 2 + 12 * len(tags) + 4
    entries = []
    for tag, value in sorted(tags.items()):
        raw = _raw(value)
        if raw is None:
            entries.append(struct.pack(order + "HHII", tag, 4, 1, value))
        elif len(raw) <= 4:
            entries.append(
                struct.pack(order + "HHI4s", tag, 2 if isinstance(value, str) else 7, len(raw), raw)
            )
        else:
            kind = 2 if isinstance(value, str) else 7
            entries.append(struct.pack(order + "HHII", tag, kind, len(raw), heap_at + len(heap)))
            heap += raw
    return (
        struct.pack(order + "H", len(tags)) + b"".join(entries) + struct.pack(order + "I", following) + heap
    )


def exif_segment(tags: Mapping[int, str | int | bytes], *, thumbnail: bytes = b"", order: str = "<") -> bytes:
    return segment(0xE1, b"Exif\0\0" + exif_block(tags, thumbnail=thumbnail, order=order))


def user_comment(text: str, *, order: str = "<") -> bytes:
    """An EXIF UserComment in UTF-16, as AUTOMATIC1111 writes one."""
    return b"UNICODE\0" + text.encode("utf-16-le" if order == "<" else "utf-16-be")


def xmp_packet(properties: Mapping[str, str]) -> bytes:
    """An XMP packet with attributes such as ``xmp:CreatorTool`` or ``Iptc4xmpExt:DigitalSourceType``."""
    spaces = {
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "dc": "http://purl.org/dc/elements/1.1/",
        "dcterms": "http://purl.org/dc/terms/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "xmpNote": "http://ns.adobe.com/xmp/note/",
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    }
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())
    said = " ".join(f'{name}="{_escaped(value)}"' for name, value in properties.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {declared} {said}/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def _escaped(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def xmp_segment(properties: Mapping[str, str]) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_packet(properties))


def extended_xmp_segments(packet: bytes, *, digest: str = "0" * 32, piece: int = 1000) -> list[bytes]:
    """The segments of a packet that is too long for one."""
    head = b"http://ns.adobe.com/xmp/extension/\0" + digest.encode() + struct.pack(">I", len(packet))
    pieces = [(at, packet[at : at + piece]) for at in range(0, len(packet), piece)]
    return [segment(0xE1, head + struct.pack(">I", at) + data) for at, data in pieces]


def iptc_segment(datasets: Mapping[int, str]) -> bytes:
    """A Photoshop segment with IPTC datasets of record 2, in UTF-8."""
    iim = b"\x1c\x01\x5a\x00\x03\x1b%G"
    for number, text in datasets.items():
        raw = text.encode()
        iim += struct.pack(">BBBH", 0x1C, 2, number, len(raw)) + raw
    resource = b"8BIM" + struct.pack(">HxxI", 0x0404, len(iim)) + iim + b"\0" * (len(iim) % 2)
    return segment(0xED, b"Photoshop 3.0\0" + resource)


def synthetic_source() -> dict[str, str]:
    """XMP that says: made by a trained model."""
    return {"Iptc4xmpExt:DigitalSourceType": _SOURCE_TYPE + "trainedAlgorithmicMedia"}


def camera_jpeg(*, thumbnail_of: NDArray[np.uint8] | None = None, seed: int = 0) -> bytes:
    """A JPEG with a camera's EXIF and a thumbnail, of itself or of another picture."""
    pixels = images.scene(320, 240, seed=seed)
    shown = pixels if thumbnail_of is None else thumbnail_of
    small = images.jpeg(np.ascontiguousarray(shown[::2, ::2]), quality=70)
    tags: dict[int, str | int | bytes] = {
        0x010F: "Assay Optical",
        0x0110: "Pinhole 1",
        0x0131: "Firmware 1.0",
        0x9003: "2024:05:06 07:08:09",
        0x927C: b"Nikon\0" + bytes(30),
    }
    return with_segments(images.jpeg(pixels, quality=90), exif_segment(tags, thumbnail=small))


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def text_chunk(keyword: str, text: str, *, kind: str = "tEXt") -> bytes:
    name = keyword.encode("latin-1")
    if kind == "tEXt":
        return chunk(b"tEXt", name + b"\0" + text.encode("latin-1", "replace"))
    if kind == "zTXt":
        return chunk(b"zTXt", name + b"\0\0" + zlib.compress(text.encode("latin-1", "replace")))
    return chunk(b"iTXt", name + b"\0\1\0\0\0" + zlib.compress(text.encode()))


def png(width: int = 24, height: int = 16, *, chunks: tuple[bytes, ...] = ()) -> bytes:
    """A PNG with further chunks behind its header."""
    plain = images.png(images.gradient(width, height))
    return plain[:33] + b"".join(chunks) + plain[33:]


def png_with_text(texts: Mapping[str, str], *, kind: str = "tEXt") -> bytes:
    return png(chunks=tuple(text_chunk(k, v, kind=kind) for k, v in texts.items()))


def stealth_pixels(
    text: str,
    *,
    channels: str = "alpha",
    compressed: bool = True,
    size: tuple[int, int] = (96, 128),
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Pixels (H, W, 4) whose lowest bits hold `text`, column by column."""
    width, height = size
    pixels = np.dstack([images.scene(width, height, seed=seed), np.full((height, width), 255, np.uint8)])
    raw = gzip.compress(text.encode(), mtime=0) if compressed else text.encode()
    name = f"stealth_{'png' if channels == 'alpha' else 'rgb'}{'comp' if compressed else 'info'}".encode()
    bits = np.unpackbits(np.frombuffer(name + struct.pack(">I", 8 * len(raw)) + raw, np.uint8))
    planes = slice(3, 4) if channels == "alpha" else slice(0, 3)
    columns = np.ascontiguousarray(pixels[:, :, planes].transpose(1, 0, 2)).reshape(-1)
    columns[: bits.size] = columns[: bits.size] & 0xFE | bits
    pixels[:, :, planes] = columns.reshape(width, height, -1).transpose(1, 0, 2)
    return pixels


def stealth_png(text: str = A1111, *, channels: str = "alpha", compressed: bool = True) -> bytes:
    pixels = stealth_pixels(text, channels=channels, compressed=compressed)
    return images.png(pixels if channels == "alpha" else np.ascontiguousarray(pixels[:, :, :3]))


def box(kind: bytes, *bodies: bytes) -> bytes:
    """An ISO box."""
    body = b"".join(bodies)
    return struct.pack(">I", 8 + len(body)) + kind + body


def mp4(*, brand: bytes = b"isom", encoder: str = "Lavf60.16.100", extra: bytes = b"") -> bytes:
    """An MP4 with one video track, an encoder's name and no media."""
    mvhd = box(b"mvhd", struct.pack(">IIIII", 0, 3_800_000_000, 3_800_000_000, 1000, 2500), bytes(80))
    tkhd = box(b"tkhd", bytes(76), struct.pack(">II", 640 << 16, 360 << 16))
    mdhd = box(b"mdhd", bytes(20), struct.pack(">HH", 0x55C4, 0))
    hdlr = box(b"hdlr", bytes(8), b"vide", bytes(12), b"VideoHandler\0")
    entry = box(b"avc1", bytes(42), b"\x0cLavc libx264".ljust(32, b"\0"), bytes(4))
    stsd = box(b"stsd", struct.pack(">II", 0, 1), entry)
    trak = box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, box(b"minf", box(b"stbl", stsd))))
    too = box(b"\xa9too", box(b"data", struct.pack(">II", 1, 0), encoder.encode()))
    meta = box(b"meta", bytes(4), box(b"hdlr", bytes(8), b"mdirappl", bytes(9)), box(b"ilst", too))
    ftyp = box(b"ftyp", brand, struct.pack(">I", 512), brand, b"mp41")
    return ftyp + box(b"moov", mvhd, trak, box(b"udta", meta)) + extra + box(b"mdat", bytes(64))


def heic(*, brand: bytes = b"heic") -> bytes:
    """A HEIF picture without pixels: a size, an EXIF item."""
    block = struct.pack(">I", 0) + exif_block({0x010F: "Assay Optical"})
    infe = box(b"infe", struct.pack(">BxxxHH4s", 2, 1, 0, b"Exif"), b"\0")
    iinf = box(b"iinf", struct.pack(">IH", 0, 1), infe)
    ispe = box(b"iprp", box(b"ipco", box(b"ispe", struct.pack(">III", 0, 32, 24))))
    ftyp = box(b"ftyp", brand, bytes(4), b"mif1", brand)

    def meta(offset: int) -> bytes:
        iloc = box(b"iloc", struct.pack(">IBBHHHHII", 0, 0x44, 0, 1, 1, 0, 1, offset, len(block)))
        return box(b"meta", bytes(4), box(b"hdlr", bytes(8), b"pict", bytes(13)), iinf, iloc, ispe)

    return ftyp + meta(len(ftyp) + len(meta(0)) + 8) + box(b"mdat", block)


def element(number: int, body: bytes) -> bytes:
    """An EBML element with a length of eight bytes."""
    return (
        number.to_bytes((number.bit_length() + 7) // 8, "big") + b"\x01" + len(body).to_bytes(7, "big") + body
    )


def matroska(doctype: bytes = b"webm") -> bytes:
    head = (
        b"\x1a\x45\xdf\xa3"
        + bytes([0x80 | (3 + len(doctype))])
        + b"\x42\x82"
        + bytes([0x80 | len(doctype)])
        + doctype
    )
    info = element(0x2AD7B1, (1_000_000).to_bytes(3, "big")) + element(0x4489, struct.pack(">d", 2500.0))
    info += element(0x4D80, b"Lavf60.16.100") + element(0x5741, b"Lavf60.16.100")
    video = element(0xE0, element(0xB0, b"\x02\x80") + element(0xBA, b"\x01\x68"))
    tracks = element(0xAE, element(0x86, b"V_VP9") + video)
    tag = element(
        0x7373, element(0x67C8, element(0x45A3, b"ENCODER") + element(0x4487, b"Lavc60 libvpx-vp9"))
    )
    body = element(0x1549A966, info) + element(0x1654AE6B, tracks) + element(0x1254C367, tag)
    return head + element(0x18538067, body + element(0x1F43B675, bytes(32)))


def riff(form: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    body = form + b"".join(k + struct.pack("<I", len(b)) + b + b"\0" * (len(b) % 2) for k, b in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav(*, software: bytes = b"Lavf60.16.100") -> bytes:
    info = b"INFO" + b"ISFT" + struct.pack("<I", len(software)) + software + b"\0" * (len(software) % 2)
    fmt = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    bext = b"a take".ljust(256, b"\0") + b"Assay".ljust(32, b"\0") + bytes(314)
    return riff(b"WAVE", (b"fmt ", fmt), (b"bext", bext), (b"LIST", info), (b"data", bytes(1600)))


def avi() -> bytes:
    avih = struct.pack("<10I16x", 40_000, 0, 0, 0, 50, 0, 1, 0, 320, 240)
    strl = b"strl" + b"strh" + struct.pack("<I4s4s48x", 56, b"vids", b"MJPG")
    hdrl = b"hdrlavih" + struct.pack("<I", len(avih)) + avih + b"LIST" + struct.pack("<I", len(strl)) + strl
    return riff(
        b"AVI ", (b"LIST", hdrl), (b"LIST", b"INFOISFT\x06\0\0\0Lavf60"), (b"LIST", b"movi" + bytes(32))
    )


def webp(*, lossless: bool = False) -> bytes:
    """A WebP with EXIF and XMP around real pixels."""
    plain = images.webp(images.gradient(24, 16), lossless=lossless)
    size = int.from_bytes(plain[16:20], "little")
    kind, pixels = plain[12:16], plain[20 : 20 + size]
    extended = struct.pack("<I", 0x0C) + (23).to_bytes(3, "little") + (15).to_bytes(3, "little")
    texts = (
        (b"EXIF", exif_block({0x0131: "Pinhole Studio"})),
        (b"XMP ", xmp_packet({"xmp:CreatorTool": "Pinhole Studio"})),
    )
    return riff(b"WEBP", (b"VP8X", extended), (kind, pixels), *texts)


def gif(*, comment: bytes = b"made by a test") -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 2, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    loop = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    note = b"\x21\xfe" + bytes([len(comment)]) + comment + b"\0"
    frame = b"\x21\xf9\x04\0\0\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 2, 1, 0) + b"\x02\x02\x04\x0a\0"
    return head + loop + note + frame + frame + b"\x3b"


def flac() -> bytes:
    packed = 8000 << 44 | 0 << 41 | 15 << 36 | 16_000
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    words = vorbis_comment("reference libFLAC 1.4.3 20230623", {"TITLE": "a test"})
    return (
        b"fLaC"
        b"\0"
        + len(info).to_bytes(3, "big")
        + info
        + b"\x84"
        + len(words).to_bytes(3, "big")
        + words
        + bytes(32)
    )


def vorbis_comment(vendor: str, comments: Mapping[str, str]) -> bytes:
    said = [f"{name}={value}".encode() for name, value in comments.items()]
    body = struct.pack("<I", len(vendor.encode())) + vendor.encode() + struct.pack("<I", len(said))
    return body + b"".join(struct.pack("<I", len(raw)) + raw for raw in said)


def ogg(kind: str = "opus") -> bytes:
    """Two header packets and a last page of two seconds."""
    if kind == "opus":
        first = b"OpusHead\x01\x01" + struct.pack("<HIhB", 312, 24_000, 0, 0)
        second = b"OpusTags" + vorbis_comment("libopus 1.4", {"ENCODER": "opusenc"})
        granule = 96_000
    else:
        first = b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 1, 8000, 0, 0, 0, 0xB8, 1)
        second = b"\x03vorbis" + vorbis_comment("Xiph.Org libVorbis I 20200704", {"TITLE": "a test"}) + b"\1"
        granule = 16_000
    return _page(first, 2, 0, 0) + _page(second, 0, 0, 1) + _page(bytes(40), 4, granule, 2)


def _page(packet: bytes, flags: int, granule: int, number: int) -> bytes:
    lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    return struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, 7, number, 0, len(lacing)) + lacing + packet


def mp3() -> bytes:
    """ID3v2.3, a first frame with LAME's tag, ID3v1."""
    title = b"\0a test"
    frame = b"TIT2" + struct.pack(">IH", len(title), 0) + title
    agent = b"\0Lavf60.16.100"
    frame += b"TSSE" + struct.pack(">IH", len(agent), 0) + agent
    tag = b"ID3\x03\0\0" + bytes([0, 0, len(frame) >> 7, len(frame) & 0x7F]) + frame
    first = b"\xff\xfb\x90\xc0" + bytes(17) + b"Info" + struct.pack(">II", 1, 100) + b"LAME3.100" + bytes(60)
    old = (b"TAG" + b"a test".ljust(30, b"\0")).ljust(128, b"\0")
    return tag + first.ljust(417, b"\0") + bytes(417) + old


def tiff() -> bytes:
    return exif_block({0x0100: 24, 0x0101: 16, 0x010F: "Assay Optical", 0x0131: "Pinhole Studio"}, order=">")


def bmp() -> bytes:
    return images.encoded(images.gradient(8, 6), "BMP")


def mail() -> bytes:
    return (
        b"Received: from localhost\r\nFrom: a@example.invalid\r\nTo: b@example.invalid\r\nSubject: a test\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nGood day.\r\n"
    )


def zipped(*names: str, first: tuple[str, bytes] | None = None) -> bytes:
    """A zip archive with small members; `first` is stored as it is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        if first:
            archive.writestr(zipfile.ZipInfo(first[0]), first[1])
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"a member")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("a.txt")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"text"))
    return out.getvalue()


def samples() -> dict[str, tuple[str, bytes]]:
    """One sample of each kind: name with extension, to media type and bytes."""
    office = "application/vnd.openxmlformats-officedocument."
    odf = "application/vnd.oasis.opendocument.text"
    return {
        "a.jpg": ("image/jpeg", camera_jpeg()),
        "a.png": ("image/png", png_with_text({"parameters": A1111})),
        "b.png": ("image/png", stealth_png()),
        "a.webp": ("image/webp", webp()),
        "b.webp": ("image/webp", webp(lossless=True)),
        "a.gif": ("image/gif", gif()),
        "a.tif": ("image/tiff", tiff()),
        "a.bmp": ("image/bmp", bmp()),
        "a.heic": ("image/heic", heic()),
        "a.avif": ("image/avif", heic(brand=b"avif")),
        "a.mp4": ("video/mp4", mp4()),
        "a.mov": ("video/quicktime", mp4(brand=b"qt  ")),
        "a.m4a": ("audio/mp4", mp4(brand=b"M4A ")),
        "a.webm": ("video/webm", matroska()),
        "a.mkv": ("video/x-matroska", matroska(b"matroska")),
        "a.avi": ("video/x-msvideo", avi()),
        "a.wav": ("audio/wav", wav()),
        "a.flac": ("audio/flac", flac()),
        "a.mp3": ("audio/mpeg", mp3()),
        "a.ogg": ("audio/ogg", ogg("vorbis")),
        "a.opus": ("audio/opus", ogg()),
        "a.zip": ("application/zip", zipped("a.jpg")),
        "a.docx": (office + "wordprocessingml.document", zipped("[Content_Types].xml", "word/document.xml")),
        "a.xlsx": (office + "spreadsheetml.sheet", zipped("[Content_Types].xml", "xl/workbook.xml")),
        "a.pptx": (
            office + "presentationml.presentation",
            zipped("[Content_Types].xml", "ppt/presentation.xml"),
        ),
        "a.odt": (odf, zipped("content.xml", first=("mimetype", odf.encode()))),
        "a.epub": ("application/epub+zip", zipped("a.xhtml", first=("mimetype", b"application/epub+zip"))),
        "a.jar": ("application/java-archive", zipped("META-INF/MANIFEST.MF", "A.class")),
        "a.tar": ("application/x-tar", tarred()),
        "a.gz": ("application/gzip", gzip.compress(b"text", mtime=0)),
        "a.pdf": ("application/pdf", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer<<>>\n%%EOF\n"),
        "a.eml": ("message/rfc822", mail()),
        "winmail.dat": ("application/vnd.ms-tnef", b'x\x9f>"' + bytes(32)),
        "a.txt": ("text/plain", EICAR_LIKE),
    }


def describe(data: bytes, media_type: str, **limits: float) -> Container:
    """Read a container from bytes."""
    from assay.media.container import read_container

    return read_container(io.BytesIO(data), media_type, len(data), "0" * 64, limits)
