"""A JPEG's quantised coefficients, read by an entropy decoder of our own.

Pixels say what a picture looks like; the coefficients say how it was coded before. No library that Pillow brings hands
them out, so the markers are parsed here (ITU-T T.81, Annex B), and the entropy-coded data in `scans`. Baseline, extended
sequential with 8 bits and progressive JPEGs are read; arithmetic, lossless and hierarchical ones are not supported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assay.errors import Failed, Unsupported
from assay.media import scans
from assay.media.huffman import AC, Tables
from assay.media.views import JpegPlane

SCANS = 200  # of one file; a hostile one repeats cheap scans without end
SOF0, SOF1, SOF2, DHT, SOI, EOI, SOS, DQT, DNL, DRI = (
    0xC0,
    0xC1,
    0xC2,
    0xC4,
    0xD8,
    0xD9,
    0xDA,
    0xDB,
    0xDC,
    0xDD,
)
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}
ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length

KERNELS: dict[tuple[bool, bool], Callable[..., int]] = {  # by: of AC, a refinement
    (False, False): scans.sequential,
    (False, True): scans.refined_dc,
    (True, False): scans.first_ac,
    (True, True): scans.refined_ac,
}


@dataclass(frozen=True, slots=True)
class Coefficients:
    """What a JPEG holds as coded."""

    size: tuple[int, int]  # (width, height) in pixels
    planes: tuple[JpegPlane, ...]
    progressive: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Component:
    """One component of the frame, and where its blocks lie in the common array."""

    number: int
    h: int
    v: int
    table: int  # of quantisation
    across: int = 0  # blocks that carry picture
    down: int = 0
    stride: int = 0  # blocks to the next row, padded to whole MCUs
    first: int = 0  # index of its first block
    quantisation: NDArray[np.uint16] | None = None  # as it stood at its first scan
    seen: bool = False


@dataclass(slots=True)
class _State:
    """What the markers have said so far."""

    data: NDArray[np.uint8]
    raw: bytearray
    pixels: int
    at: int = 0
    size: tuple[int, int] = (0, 0)
    progressive: bool = False
    components: list[_Component] = field(default_factory=list)
    mcus: tuple[int, int] = (0, 0)  # across, down
    interval: int = 0
    huffman: Tables = field(default_factory=Tables.standard)
    quantisation: dict[int, NDArray[np.uint16]] = field(default_factory=dict)
    blocks: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))
    scratch: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    scans: int = 0
    shares: list[float] = field(default_factory=list)  # of each scan: how much of it was there
    warnings: list[str] = field(default_factory=list)


def read_jpeg(data: bytes | bytearray, *, pixels: int) -> Coefficients:
    """Read the quantised coefficients of a JPEG's first picture.

    Parameters
    ----------
    data : bytes or bytearray
        The file, whole or cut off. A bytearray is read in place, bytes are copied.
    pixels : int
        How many pixels the frame may have at most; memory is taken for no more.

    Returns
    -------
    coefficients : Coefficients
        One plane a component: int16, shape (block rows, block columns, 8, 8), natural order. Blocks that a damaged
        file lacks are zero, and a warning says so.

    Raises
    ------
    Unsupported
        For arithmetic, lossless, hierarchical and 12-bit coding.
    Failed
        If the markers are malformed or not one block could be read.
    """
    raw = (
        data if isinstance(data, bytearray) else bytearray(data)
    )  # the kernels are compiled for writable memory
    state = _State(np.frombuffer(raw, np.uint8), raw, pixels)
    if raw[:2] != b"\xff\xd8":
        raise Failed("it does not begin as a JPEG", code="jpeg_markers")
    state.at = 2
    while _next_segment(state):
        pass
    if not state.scans or not any(state.shares):
        raise Failed("the JPEG holds no block that can be read", code="jpeg_empty")
    missing = [c for c in state.components if not c.seen]
    if missing:
        state.warnings.append(f"{len(missing)} of {len(state.components)} components of the JPEG are missing")
    if min(state.shares) < 1:
        state.warnings.append(
            f"the JPEG's data end early: {min(state.shares):.0%} of its shortest scan are there"
        )
    planes = tuple(_plane(state, c) for c in state.components)
    return Coefficients(state.size, planes, state.progressive, tuple(state.warnings))


def _next_segment(state: _State) -> bool:
    """Act upon the next marker; False at the end of the picture."""
    at = state.raw.find(b"\xff", state.at)
    while 0 <= at < len(state.raw) - 1 and state.raw[at + 1] in (
        0,
        0xFF,
    ):  # stuffing left by a damaged scan; fill
        at = state.raw.find(b"\xff", at + 1)
    if at < 0 or at + 1 >= len(state.raw) or state.raw[at + 1] == EOI:
        return False
    marker = state.raw[at + 1]
    state.at = at + 2
    if marker in ALONE:
        return True
    length = int.from_bytes(state.raw[at + 2 : at + 4], "big")
    body = state.raw[at + 4 : at + 2 + length]
    if length < 2 or len(body) != length - 2:
        return False  # cut off within a segment
    state.at = at + 2 + length
    if marker in FRAMES:
        _frame(state, marker, body)
    elif marker == DHT:
        _huffman_tables(state, body)
    elif marker == DQT:
        _quantisation_tables(state, body)
    elif marker == DRI and len(body) >= 2:
        state.interval = int.from_bytes(body[:2], "big")
    elif marker == SOS:
        _scan(state, body)
    return True


def _frame(state: _State, marker: int, body: bytearray) -> None:
    if marker not in (SOF0, SOF1, SOF2):
        raise Unsupported(
            "the JPEG is coded arithmetically, losslessly or in a hierarchy", code="jpeg_coding"
        )
    if state.components or len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise Failed("the JPEG's frame header is malformed or repeated", code="jpeg_markers")
    if body[0] != 8:
        raise Unsupported(f"the JPEG has {body[0]} bits a sample", code="jpeg_coding")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    fields = [
        (body[i], body[i + 1] >> 4, body[i + 1] & 15, body[i + 2]) for i in range(6, 6 + 3 * body[5], 3)
    ]
    if not 1 <= len(fields) <= 4 or any(not (1 <= h <= 4 and 1 <= v <= 4) for _, h, v, _ in fields):
        raise Failed("the JPEG's components are malformed", code="jpeg_markers")
    if not 0 < width * height <= state.pixels:
        raise Failed(
            f"the JPEG's frame of {width} x {height} is not of the picture's size", code="jpeg_markers"
        )
    state.size, state.progressive = (width, height), marker == SOF2
    h_most, v_most = max(f[1] for f in fields), max(f[2] for f in fields)
    state.mcus = -(-width // (8 * h_most)), -(-height // (8 * v_most))
    first = 0
    for number, h, v, table in fields:
        c = _Component(number, h, v, table, first=first)
        c.across, c.down = _blocks(width * h, h_most), _blocks(height * v, v_most)
        c.stride = state.mcus[0] * h
        first += c.stride * state.mcus[1] * v
        state.components.append(c)
    state.blocks = np.zeros(first * 64, np.int16)


def _blocks(scaled: int, most: int) -> int:
    """How many blocks hold ceil(scaled / most) samples."""
    return -(-scaled // (8 * most))


def _huffman_tables(state: _State, body: bytearray) -> None:
    at = 0
    while at + 17 <= len(body):
        kind, counts = body[at], tuple(body[at + 1 : at + 17])
        if kind >> 4 > 1 or kind & 15 > 3:
            raise Failed("the JPEG names a Huffman table that cannot be", code="jpeg_tables")
        values = body[at + 17 : at + 17 + sum(counts)]
        state.huffman.define((kind >> 4) * AC + (kind & 15), counts, values)
        at += 17 + sum(counts)


def _quantisation_tables(state: _State, body: bytearray) -> None:
    at = 0
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 15
        values = body[at + 1 : at + 65 + 64 * wide]
        if wide > 1 or number > 3 or len(values) != 64 * (1 + wide):
            raise Failed("a quantisation table of the JPEG is malformed", code="jpeg_tables")
        table = np.zeros(64, np.uint16)
        table[scans.ZIGZAG] = np.frombuffer(values, ">u2" if wide else np.uint8)
        state.quantisation[number] = table.reshape(8, 8)
        at += 65 + 64 * wide


def _scan(state: _State, body: bytearray) -> None:
    state.scans += 1
    if state.scans > SCANS:
        raise Failed(f"the JPEG has over {SCANS} scans", code="jpeg_scans")
    chosen = _chosen(state, body)
    start, end, high, low = body[-3], body[-2], body[-1] >> 4, body[-1] & 15
    if not state.progressive:
        start, end, high, low = 0, 63, 0, 0
    sound = (
        (end == 0 if start == 0 else start <= end <= 63 and len(chosen) == 1) if state.progressive else True
    )
    if not sound or low > 13 or high > 13:
        raise Failed("a scan of the JPEG is malformed", code="jpeg_scans")
    across, total, layout = _arranged(state, chosen)
    words, parts, interval = _entropy_coded(state, total)
    last_dc = np.zeros(4, np.int64)
    tables = state.huffman.rows
    done = KERNELS[start > 0, high > 0](
        words, parts, interval, total, across, layout, last_dc, start, end, low, tables, state.blocks
    )
    for c, _, _ in chosen:
        c.seen = c.seen or (start == 0 and done > 0)
    state.shares.append(min(1.0, done / total))


def _chosen(state: _State, body: bytearray) -> list[tuple[_Component, int, int]]:
    """The components of a scan, each with its DC and AC tables."""
    count = body[0] if body else 0
    by_number = {c.number: c for c in state.components}
    pairs = [(body[i], body[i + 1]) for i in range(1, 1 + 2 * count, 2)] if len(body) == 4 + 2 * count else []
    chosen = [(by_number[n], t >> 4, t & 15) for n, t in pairs if n in by_number]
    if not 1 <= count <= 4 or len({c.number for c, _, _ in chosen}) != count:
        raise Failed("a scan of the JPEG names components that its frame has not", code="jpeg_scans")
    for c, dc, ac in chosen:
        if dc > 3 or ac > 3:
            raise Failed("a scan of the JPEG names tables that cannot be", code="jpeg_scans")
        if c.quantisation is None:
            c.quantisation = state.quantisation.get(c.table)
    return chosen


def _arranged(state: _State, chosen: list[tuple[_Component, int, int]]) -> tuple[int, int, NDArray[np.int64]]:
    """How the scan's MCUs lie: how many across, how many in all, and each component's row of `layout`."""
    if len(chosen) == 1:  # not interleaved: the MCU is one block, and padding blocks are not coded
        c, dc, ac = chosen[0]
        layout = [(c.first, c.stride, 1, 1, dc, AC + ac, 0)]
        return c.across, c.across * c.down, np.array(layout, np.int64)
    layout = [(c.first, c.stride, c.h, c.v, dc, AC + ac, 0) for c, dc, ac in chosen]
    return state.mcus[0], state.mcus[0] * state.mcus[1], np.array(layout, np.int64)


def _entropy_coded(state: _State, total: int) -> tuple[NDArray[np.uint32], NDArray[np.int64], int]:
    """Take the scan's data out of the file: words without stuffing, their parts, and the MCUs of each part."""
    interval = state.interval or total
    expected = -(-total // interval)
    if not state.scratch.size:
        state.scratch = np.empty(-(-len(state.raw) * 4 // 3) // 4 * 4 + 32, np.uint8)
    parts = np.zeros((min(expected, len(state.raw)) + 8, 3), np.int64)
    state.at, count = scans.unstuffed(state.data, state.at, state.scratch, parts, state.interval > 0)
    used = int(parts[count - 1, 1]) // 8 if count else 0
    words = state.scratch[: (used + 7) // 4 * 4].view(">u4").astype(np.uint32)
    words[-1] = 0  # what follows the end
    return words, _placed(parts[:count], interval, total), interval


def _placed(parts: NDArray[np.int64], interval: int, total: int) -> NDArray[np.int64]:
    """Say at which MCU each part begins, by its restart marker's number where one or two are lost or doubled."""
    if len(parts) == 1:
        parts[0, 2] = 0
        return parts
    expected = np.arange(len(parts), dtype=np.int64)
    numbers = parts[:, 2]
    if (numbers[1:] == (expected[1:] - 1) % 8).all():
        parts[:, 2] = expected * interval
    else:
        _resynchronise(parts, interval)
    return np.ascontiguousarray(parts[parts[:, 2] < total])


def _resynchronise(parts: NDArray[np.int64], interval: int) -> None:
    index = 0
    for row in range(len(parts)):
        number = int(parts[row, 2])
        if row:
            ahead = (number - index) % 8  # the marker before part `index + 1` carries the number `index % 8`
            index += 1 + (ahead if ahead in (1, 2) else -1 if ahead == 7 else 0)
        parts[row, 2] = index * interval


def _plane(state: _State, c: _Component) -> JpegPlane:
    if c.quantisation is None:
        raise Failed("the JPEG lacks a quantisation table that it uses", code="jpeg_tables")
    rows = state.mcus[1] * c.v
    blocks = state.blocks[c.first * 64 : (c.first + rows * c.stride) * 64].reshape(rows, c.stride, 8, 8)
    return JpegPlane(
        coefficients=blocks[: c.down, : c.across], quantisation=c.quantisation, horizontal=c.h, vertical=c.v
    )
