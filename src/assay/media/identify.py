"""Media types from bytes, never from names. Runs in the parent, so it compares bytes and parses nothing.

Names are IANA's where one is registered; ``video/x-msvideo``, ``audio/wav`` and the like where software agrees on
another. An animated PNG is ``image/png`` and an image sequence has the type of its still form: how many pictures there
are is for decoders to say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assay.media.naming import ALIKE, EXTENSIONS, OFFICE, SYNONYMS

if TYPE_CHECKING:
    from assay.types import MediaFamily

HEAD = 4096  # bytes from the start that `identify` wants
TAIL = 1024  # and from the end
UNKNOWN = "application/octet-stream"

# (offset, bytes, media type), the first that fits; the longer signatures stand first
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"II+\0", "image/tiff"),
    (0, b"MM\0+", "image/tiff"),
    (0, b"FUJIFILMCCD-RAW", "image/x-fuji-raf"),
    (0, b"fLaC", "audio/flac"),
    (0, b"%PDF-", "application/pdf"),
    (0, b'x\x9f>"', "application/vnd.ms-tnef"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"(\xb5/\xfd", "application/zstd"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (0, b"\xff\x4f\xff\x51", "image/j2c"),
    (0, b"\0\0\1\0", "image/vnd.microsoft.icon"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "video/x-ms-asf"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\0\0\x01\xba", "video/mpeg"),
    (0, b"\0\0\x01\xb3", "video/mpeg"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"caff\0\x01", "audio/x-caf"),
    (0, b"{\\rtf", "application/rtf"),
    (257, b"ustar", "application/x-tar"),
)

# Brands of ISO/IEC 14496-12, 23008-12 and the registry at mp4ra.org
_BRANDS: dict[bytes, str] = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"),
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"mif1", b"msf1", b"miaf"), "image/heif"),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "), "audio/mp4"),
    b"qt  ": "video/quicktime",
    b"crx ": "image/x-canon-cr3",
    **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6", b"3gp7", b"3gp8", b"3gp9", b"3gr6", b"3gs7"), "video/3gpp"),
    **dict.fromkeys((b"3g2a", b"3g2b", b"3g2c"), "video/3gpp2"),
}
_BOXES = frozenset((b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"udta"))

_TYPED_ZIPS = (
    b"application/epub+zip",
    b"application/vnd.oasis.opendocument.",
)  # declared in a first entry "mimetype"

# Header fields that a mail begins with (RFC 5322, RFC 3834, and what servers put on top)
_MAIL_FIELD = re.compile(
    rb"(?i)(received|return-path|delivered-to|from|to|cc|subject|date|message-id|mime-version|content-type|reply-to|sender"
    rb"|dkim-signature|authentication-results|arc-[a-z-]+|x-[a-z0-9-]+|content-transfer-encoding|list-[a-z-]+|references"
    rb"|in-reply-to|user-agent|received-spf|thread-[a-z]+|importance|envelope-to|domainkey-signature|resent-[a-z]+): ?"
)
_MAIL_PROOF = re.compile(rb"(?im)^(from|received|message-id|date|mime-version|subject|return-path):")
_BINARY = re.compile(
    rb"[\0-\x08\x0e-\x1a\x1c-\x1f]"
)  # control characters that no text holds; ESC and form feed may


def identify(head: bytes, tail: bytes = b"", size: int | None = None) -> str:
    """Name the media type of a sample from its bytes.

    Parameters
    ----------
    head : bytes
        The first `HEAD` bytes, or all.
    tail : bytes
        The last `TAIL` bytes, or all; only an MP3 without a tag and a headless sample profit from it.
    size : int, optional
        Of the whole sample in bytes; ``len(head)`` if not given.

    Returns
    -------
    media_type : str
        ``application/octet-stream`` where nothing fits. A polyglot is what its head says.
    """
    size = len(head) if size is None else size
    for offset, magic, media_type in _MAGIC:
        if head.startswith(magic, offset):
            return _tiff_kind(head) if media_type == "image/tiff" else media_type
    for recognise in (
        _iso_media,
        _riff,
        _aiff,
        _matroska,
        _ogg,
        _bmp,
        _mpeg_transport,
        _text,
        _mpeg_audio,
    ):
        found = recognise(head, size)
        if found:
            return found
    if head[:2] == b"PK":
        return _zip(head, tail)
    if tail[-128:-125] == b"TAG" and size > 128:  # ID3v1 at the end of a track whose first frame is damaged
        return "audio/mpeg"
    return UNKNOWN


def _tiff_kind(head: bytes) -> str:
    return "image/x-canon-cr2" if head[8:10] == b"CR" else "image/tiff"


def _iso_media(head: bytes, size: int) -> str:
    kind = head[4:8]
    if kind == b"ftyp":
        length = int.from_bytes(head[:4], "big")
        brands = [head[8:12], *(head[i : i + 4] for i in range(16, min(length, len(head), 256) - 3, 4))]
        return _of_brands(brands)
    if kind in (b"styp", b"moof", b"sidx"):
        return "video/mp4"
    if (
        kind in _BOXES
        and (int.from_bytes(head[:4], "big") >= 8 or head[:4] in (b"\0\0\0\0", b"\0\0\0\1"))
        and size >= 16
    ):
        return "video/quicktime"
    return ""


def _of_brands(brands: list[bytes]) -> str:
    major = _BRANDS.get(brands[0], "")
    if major in ("image/heif", ""):  # a general brand: a compatible one says more
        for brand in brands[1:]:
            if _BRANDS.get(brand, "") in ("image/heic", "image/avif"):
                return _BRANDS[brand]
    return major or "video/mp4"


def _riff(head: bytes, _size: int) -> str:
    if head[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return ""
    forms = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
    return forms.get(head[8:12], "")


def _aiff(head: bytes, _size: int) -> str:
    return "audio/aiff" if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC") else ""


def _matroska(head: bytes, _size: int) -> str:
    if head[:4] != b"\x1a\x45\xdf\xa3":
        return ""
    return "video/webm" if b"\x42\x82\x84webm" in head[:128] else "video/x-matroska"


def _ogg(head: bytes, _size: int) -> str:
    if head[:4] != b"OggS":
        return ""
    first = head[:512]
    if b"OpusHead" in first:
        return "audio/opus"
    return "video/ogg" if b"\x80theora" in first else "audio/ogg"


def _zip(head: bytes, tail: bytes) -> str:
    """Tell typed archives by their first entry and by the names in the head and in the directory at the end."""
    if head[:4] != b"PK\x03\x04":
        return "application/zip" if head[:4] in (b"PK\x05\x06", b"PK\x07\x08") else UNKNOWN
    name_length = int.from_bytes(head[26:28], "little")
    extra_length = int.from_bytes(head[28:30], "little")
    name = head[30 : 30 + name_length]
    body = head[30 + name_length + extra_length :]
    if name == b"mimetype":
        for declared in _TYPED_ZIPS:
            if body.startswith(declared):
                return _token(body)
    if name in (b"META-INF/", b"META-INF/MANIFEST.MF"):
        return "application/java-archive"
    if name.startswith(
        (b"[Content_Types].xml", b"_rels/", b"docProps/", b"word/", b"xl/", b"ppt/", b"customXml/")
    ):
        for folder, media_type in OFFICE:
            if folder in head or folder in tail:
                return media_type
    return "application/zip"


def _token(body: bytes) -> str:
    match = re.match(
        rb"application/(epub\+zip|vnd\.oasis\.opendocument\.(?:text|spreadsheet|presentation|graphics))", body
    )
    return match.group().decode("ascii") if match else "application/zip"


def _bmp(head: bytes, size: int) -> str:
    if head[:2] != b"BM" or len(head) < 26:
        return ""
    start = int.from_bytes(head[10:14], "little")
    header = int.from_bytes(head[14:18], "little")
    return (
        "image/bmp" if header in (12, 16, 40, 52, 56, 64, 108, 124) and 26 <= start <= max(size, 26) else ""
    )


def _mpeg_transport(head: bytes, _size: int) -> str:
    syncs = head[0:941:188]
    return "video/mp2t" if len(head) >= 565 and syncs.count(b"G") == len(syncs) else ""


def _text(head: bytes, size: int) -> str:
    """Mail, markup and plain text. UTF-16 counts as text where a byte order mark says so."""
    if not head:
        return ""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and size >= 4 and not head.startswith(b"\xff\xfe\0\0"):
        return "text/plain" if b"\0" in head[2:64] else ""
    if _BINARY.search(head):
        return ""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:512]
    if _is_mail(head.removeprefix(b"\xef\xbb\xbf")):
        return "message/rfc822"
    lowered = start.lower()
    if lowered.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if lowered.startswith((b"<?xml", b"<svg", b"<!doctype svg")):
        return "image/svg+xml" if b"<svg" in head.lower() else "application/xml"
    if start[:1] in (b"{", b"[") and start[1:].lstrip()[:1] in (b'"', b"{", b"[", b"]", b"}"):
        return "application/json"
    return "text/plain" if _mostly_text(head) else ""


def _is_mail(head: bytes) -> bool:
    if head.startswith(b"From ") and b"\n" in head[:256]:  # the mbox line that delivery agents put on top
        head = head[head.index(b"\n") + 1 :]
    if not _MAIL_FIELD.match(head):
        return False
    end = re.search(rb"\r?\n\r?\n", head)
    fields = head[: end.start()] if end else head
    return len({m.group(1).lower() for m in _MAIL_PROOF.finditer(fields)}) >= 2


def _mostly_text(head: bytes) -> bool:
    try:
        head[:-3].decode("utf-8") if len(head) > 3 else head.decode("utf-8")
    except UnicodeDecodeError as e:
        if e.start < len(head) - 8:
            high = sum(b >= 0x80 for b in head)
            return high * 4 < len(head)  # a legacy charset
    return True


def _mpeg_audio(head: bytes, size: int) -> str:
    if head[:3] == b"ID3" and len(head) >= 10 and head[3] < 0x10:
        return _after_id3(head)
    if len(head) < 4 or head[0] != 0xFF or size < 8:
        return ""
    if head[1] & 0xF6 == 0xF0:
        return "audio/aac"
    return "audio/mpeg" if _is_mpeg_frame(head) else ""


def _after_id3(head: bytes) -> str:
    length = 10 + sum((b & 0x7F) << s for b, s in zip(head[6:10], (21, 14, 7, 0), strict=True))
    following = head[length : length + 4]
    if following == b"fLaC":
        return "audio/flac"
    return (
        "audio/aac"
        if len(following) == 4 and following[0] == 0xFF and following[1] & 0xF6 == 0xF0
        else "audio/mpeg"
    )


def _is_mpeg_frame(head: bytes) -> bool:
    """Eleven sync bits, a layer, a bit rate and a sampling rate that exist (ISO/IEC 11172-3, 2.4.1.3)."""
    version, layer, rate, sampling = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    return head[1] >= 0xE0 and version != 1 and layer != 0 and rate not in (0, 15) and sampling != 3


_VAGUE = frozenset({"dat"})  # extensions that promise something only under their usual name


def declared_type(name: str) -> str | None:
    """Say what the extension of `name` promises: the last one counts, in any case; None where it promises nothing."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, extension = base.rpartition(".")
    extension = extension.strip().lower()
    if not dot or not stem or (extension in _VAGUE and stem.lower() != "winmail"):
        return None
    return EXTENSIONS.get(extension)


def lies(declared: str | None, actual: str) -> bool:
    """Say whether a declared media type contradicts the one that the bytes have.

    No declaration, an unspecific one and an unknown content are no lie; neither are names that software mixes up
    (MOV, MP4 and M4A, JPG and JPEG, Ogg and Opus).
    """
    if not declared:
        return False
    said = declared.split(";", 1)[0].strip().lower()
    said = SYNONYMS.get(said, said)
    actual = SYNONYMS.get(actual, actual)
    if said in ("", UNKNOWN, "binary/octet-stream", "application/binary") or actual in (UNKNOWN, said):
        return False
    if actual == "application/zip" and (
        said.startswith(("application/vnd.", "application/epub")) or said.endswith("+zip")
    ):
        return False  # an Office file whose first entry is unusual
    return not any(said in row and actual in row for row in ALIKE)


_FAMILIES: tuple[tuple[str, MediaFamily], ...] = (
    ("image/svg", "other"),
    ("image/", "image"),
    ("video/", "video"),
    ("audio/", "audio"),
    ("message/", "mail"),
    ("application/vnd.ms-tnef", "mail"),
    ("application/mbox", "mail"),
    ("application/pdf", "document"),
    ("application/rtf", "document"),
    ("application/x-ole-storage", "document"),
    ("application/epub+zip", "document"),
    ("application/vnd.oasis.opendocument", "document"),
    ("application/vnd.openxmlformats-officedocument", "document"),
)
_ARCHIVES = frozenset(
    f"application/{n}"
    for n in ("zip", "x-tar", "gzip", "x-bzip2", "x-xz", "x-7z-compressed", "vnd.rar", "zstd", "java-archive")
)


def family_of(media_type: str) -> MediaFamily:
    """Sort a media type into image, video, audio, archive, document, mail or other."""
    if media_type in _ARCHIVES:
        return "archive"
    for prefix, family in _FAMILIES:
        if media_type.startswith(prefix):
            return family
    return "other"
