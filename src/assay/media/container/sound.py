"""FLAC (RFC 9639), Ogg (RFC 3533) with Vorbis and Opus headers, MP3 with LAME's tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.media.container import id3
from assay.media.container.draft import label, text_of
from assay.media.container.source import Malformed, Source

if TYPE_CHECKING:
    from assay.media.container.draft import Draft

BLOCKS = 512
COMMENTS = 1024
BLOCK = 1 << 20
PAGES = 256
_FLAC_BLOCKS = {
    0: "STREAMINFO",
    1: "PADDING",
    2: "APPLICATION",
    3: "SEEKTABLE",
    4: "VORBIS_COMMENT",
    5: "CUESHEET",
    6: "PICTURE",
}


def read_flac(source: Source, draft: Draft) -> None:
    """Read the metadata blocks before the first frame, and tags that other software put around them."""
    start = id3.length_of(source)
    if start:
        draft.part("ID3", 0, start)
        id3.read(source, draft)
    if source.upto(start, 4) != b"fLaC":
        raise Malformed("no FLAC stream after the ID3 tag")
    at = start + 4
    for _ in range(BLOCKS):
        head = source.exactly(at, 4)
        kind, length = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        body = source.exactly(at + 4, min(length, BLOCK))
        note = label(body[:4]) if kind == 2 else ""
        draft.part(_FLAC_BLOCKS.get(kind, f"block {kind}"), at, 4 + length, note)
        _flac_block(kind, body, draft)
        at += 4 + length
        if head[0] & 0x80:
            break
    old = id3.read_old(source, draft)
    draft.part("frames", at, max(source.size - old - at, 0))


def _flac_block(kind: int, body: bytes, draft: Draft) -> None:
    if kind == 0 and len(body) >= 18:
        packed = int.from_bytes(body[10:18], "big")
        rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
        draft.tag("stream.0:codec", f"flac, {channels} channels, {rate} Hz, {bits} bit")
        draft.duration_s = (packed & (1 << 36) - 1) / rate if rate else 0.0
    elif kind == 4:
        comments(body, draft)


def comments(body: bytes, draft: Draft) -> None:
    """Record a Vorbis comment block: the vendor, which is the encoder, and ``NAME=value`` pairs."""
    source = Source.of(body)
    (length,) = source.unpack("<I", 0)
    draft.tag("format:encoder", source.exactly(4, length))
    at = 4 + length
    (count,) = source.unpack("<I", at)
    at += 4
    for _ in range(min(count, COMMENTS)):
        (length,) = source.unpack("<I", at)
        name, _, value = source.exactly(at + 4, length).partition(b"=")
        if name.upper() not in (b"METADATA_BLOCK_PICTURE", b"COVERART"):
            draft.tag(f"vorbis:{label(name).lower()}", value)
        at += 4 + length


def read_ogg(source: Source, draft: Draft) -> None:
    """Read each logical stream's first two packets, and the length from the last page."""
    packets = _first_packets(source, draft)
    rates: dict[int, int] = {}
    for number, (serial, found) in enumerate(packets.items()):
        for packet in found:
            try:
                rates[serial] = _ogg_header(packet, number, draft) or rates.get(serial, 0)
            except Malformed as e:
                draft.warn(f"an Ogg header: {e.message}")
    _ogg_duration(source, rates, draft)


def _first_packets(source: Source, draft: Draft) -> dict[int, list[bytes]]:
    packets: dict[int, list[bytes]] = {}
    open_packets: dict[int, bytearray] = {}
    at = 0
    for _ in range(PAGES):
        head = source.upto(at, 27)
        if len(head) < 27 or head[:4] != b"OggS":
            break
        serial = int.from_bytes(head[14:18], "little")
        lacing = source.exactly(at + 27, head[26])
        body = at + 27 + len(lacing)
        draft.part("page", at, body + sum(lacing) - at, f"stream {serial:08x}")
        if len(packets) < 16 or serial in packets:
            _page(
                source,
                body,
                lacing,
                packets.setdefault(serial, []),
                open_packets.setdefault(serial, bytearray()),
            )
        at = body + sum(lacing)
        if all(len(found) >= 2 for found in packets.values()) and not head[5] & 2:
            break
    if at < source.size:
        draft.part("pages", at, source.size - at)
    return packets


def _page(source: Source, body: int, lacing: bytes, found: list[bytes], pending: bytearray) -> None:
    for length in lacing:
        if len(found) < 2 and len(pending) < BLOCK:
            pending += source.upto(body, length)
        body += length
        if length < 255:
            if len(found) < 2:
                found.append(bytes(pending))
            pending.clear()


def _ogg_header(packet: bytes, number: int, draft: Draft) -> int:
    """Record one header packet; return the stream's rate where it says so (Opus counts at 48 kHz)."""
    if packet[:8] == b"OpusHead" and len(packet) >= 16:
        rate = int.from_bytes(packet[12:16], "little")
        draft.tag(f"stream.{number}:codec", f"opus, {packet[9]} channels, {rate} Hz input")
        return 48_000
    if packet[:7] == b"\x01vorbis" and len(packet) >= 16:
        rate = int.from_bytes(packet[12:16], "little")
        draft.tag(f"stream.{number}:codec", f"vorbis, {packet[11]} channels, {rate} Hz")
        return rate
    if packet[:5] == b"\x7fFLAC" and len(packet) >= 35:
        _flac_block(0, packet[17:], draft)
        return int.from_bytes(packet[27:30], "big") >> 4
    if packet[:8] == b"OpusTags":
        comments(packet[8:], draft)
    elif packet[:7] in (b"\x03vorbis", b"\x81theora"):
        comments(packet[7:], draft)
    elif packet[:1] in (b"\x04", b"\x84") and len(packet) > 8:  # FLAC in Ogg
        comments(packet[4:], draft)
    return 0


def _ogg_duration(source: Source, rates: dict[int, int], draft: Draft) -> None:
    start = max(source.size - 65_536, 0)
    tail = source.upto(start, 65_536)
    at = tail.rfind(b"OggS")
    if at < 0 or at + 18 > len(tail):
        return
    granule = int.from_bytes(tail[at + 6 : at + 14], "little", signed=True)
    rate = rates.get(int.from_bytes(tail[at + 14 : at + 18], "little"), 0)
    if rate and granule > 0:
        draft.duration_s = min(granule / rate, 1e9)


_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_BITRATES_1 = (
    0,
    32,
    40,
    48,
    56,
    64,
    80,
    96,
    112,
    128,
    160,
    192,
    224,
    256,
    320,
    0,
)  # MPEG 1 layer III, kbit/s
_BITRATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)  # MPEG 2 and 2.5


def read_mp3(source: Source, draft: Draft) -> None:
    """Read the tags, the first frame, and the encoder's own line in it."""
    start = id3.length_of(source)
    if start:
        draft.part("ID3", 0, min(start, source.size))
        try:
            id3.read(source, draft)
        except Malformed as e:
            draft.warn(e.message)
    end = source.size - id3.read_old(source, draft)
    end -= _ape(source, end, draft)
    at = _first_frame(source, start)
    if at < 0:
        raise Malformed("no MPEG audio frame")
    draft.part("frames", at, max(end - at, 0))
    _mpeg_frame(source, at, end, draft)


def _first_frame(source: Source, start: int) -> int:
    data = source.upto(start, 1 << 18)
    at = data.find(b"\xff")
    while 0 <= at < len(data) - 4:
        second, third = data[at + 1], data[at + 2]
        if (
            second & 0xE6 == 0xE2
            and second >> 3 & 3 != 1
            and third >> 4 not in (0, 15)
            and third >> 2 & 3 != 3
        ):
            return start + at
        at = data.find(b"\xff", at + 1)
    return -1


def _mpeg_frame(source: Source, at: int, end: int, draft: Draft) -> None:
    head = source.upto(at, 4096)
    version, sampling = head[1] >> 3 & 3, head[2] >> 2 & 3
    rate = _RATES[version][sampling]
    bitrate = (_BITRATES_1 if version == 3 else _BITRATES_2)[head[2] >> 4]
    mono = head[3] >> 6 == 3
    draft.tag("stream.0:codec", f"mp3, {1 if mono else 2} channels, {rate} Hz")
    draft.duration_s = (end - at) * 8 / (bitrate * 1000) if bitrate else 0.0
    side = ((17 if mono else 32) if version == 3 else (9 if mono else 17)) + 4
    kind = head[side : side + 4]
    if kind in (b"Xing", b"Info"):
        draft.tag("mp3:header", label(kind))
        flags = int.from_bytes(head[side + 4 : side + 8], "big")
        if flags & 1:
            frames = int.from_bytes(head[side + 8 : side + 12], "big")
            draft.duration_s = min(frames * (1152 if version == 3 else 576) / rate, 1e9)
        place = (
            side + 8 + 4 * bool(flags & 1) + 4 * bool(flags & 2) + 100 * bool(flags & 4) + 4 * bool(flags & 8)
        )
        draft.tag("format:encoder", label(head[place : place + 9]).partition("\\x")[0])
    found = head.find(b"LAME")
    if found >= 0:
        draft.tag("mp3:lame", text_of(head[found : found + 20].split(b"\0")[0].split(b"\xaa")[0][:20]))


def _ape(source: Source, end: int, draft: Draft) -> int:
    """Note an APE tag before `end`; return its length."""
    foot = source.upto(end - 32, 32)
    if foot[:8] != b"APETAGEX" or len(foot) < 32:
        return 0
    length = min(int.from_bytes(foot[12:16], "little") + (32 if foot[23] & 0x80 else 0), end)
    draft.part("APE", end - length, length)
    return length
