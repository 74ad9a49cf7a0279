"""Text that generators hide in the lowest bits of pixels, bit by bit down each column.

A signature of 15 letters says which channels (``stealth_png...``: alpha; ``stealth_rgb...``: red, green and blue in
turn) and whether the text is gzipped (``...comp``); then 32 bits of length in bits, then the text.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from assay.media.container.picture import affordable, opened
from assay.media.container.source import Malformed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assay.media.container.draft import Draft
    from assay.media.container.source import Source

SIGNATURES = {
    b"stealth_pnginfo": ("alpha", False),
    b"stealth_pngcomp": ("alpha", True),
    b"stealth_rgbinfo": ("rgb", False),
    b"stealth_rgbcomp": ("rgb", True),
}
_BITS = 8 * 15  # of a signature
TEXT = 4 << 20
CHUNKS = 10_000
ROWS = 16 << 20  # bytes of the first rows
_CHANNELS = {2: 3, 4: 2, 6: 4}  # PNG colour type -> bytes a pixel at depth 8


def read_png(source: Source, draft: Draft, depth: int, colour: int, interlaced: int) -> None:
    """Look for a signature in the first column; decode the picture only where there is one."""
    if depth != 8 or colour not in _CHANNELS or not affordable(draft.width, draft.height, draft.limits):
        return
    if draft.height >= _BITS and not interlaced:
        column = _first_column(source, draft, _CHANNELS[colour])
        if column is None or not _signed(column):
            return
    elif colour == 2 or draft.width * draft.height > 1 << 22:
        return
    _read(source, draft, "PNG")


def read_webp(source: Source, draft: Draft) -> None:
    """Decode a lossless picture with alpha and look for a signature: WebP cannot be decoded in part."""
    lossless = "lossless" in draft.metadata.get("webp:codec", "")
    alpha = "alpha" in draft.metadata.get("webp:codec", "") or "alpha" in draft.metadata.get("webp:flags", "")
    if lossless and alpha and affordable(draft.width, draft.height, draft.limits):
        _read(source, draft, "WEBP")


def _first_column(source: Source, draft: Draft, channels: int) -> NDArray[np.uint8] | None:
    """Undo the row filters for column 0 alone, where the left neighbour is 0: (_BITS, channels)."""
    stride = 1 + draft.width * channels
    first = next((part for part in draft.parts if part.kind == "IDAT"), None)
    if first is None or stride * _BITS > ROWS:
        return None
    rows = _inflated(source, first.offset, stride * _BITS)
    if len(rows) < stride * _BITS:
        return None
    kinds = np.frombuffer(rows, np.uint8)[::stride]
    above = [0] * channels
    column = np.zeros((_BITS, channels), np.uint8)
    for y, kind in enumerate(kinds):
        raw = rows[y * stride + 1 : y * stride + 1 + channels]
        share = {0: (0, 1), 1: (0, 1), 2: (1, 1), 3: (1, 2), 4: (1, 1)}.get(
            int(kind)
        )  # up and Paeth: above, average: half
        if share is None:
            return None
        above = [(b + share[0] * a // share[1]) & 0xFF for b, a in zip(raw, above, strict=True)]
        column[y] = above
    return column


def _inflated(source: Source, offset: int, wanted: int) -> bytes:
    stream = zlib.decompressobj()
    rows = bytearray()
    try:
        for _ in range(CHUNKS):
            if len(rows) >= wanted:
                break
            length, kind = source.unpack(">I4s", offset)
            if kind != b"IDAT":
                break
            for _, data in source.window(offset + 8, length).chunks(0, length):
                rows += stream.decompress(data, wanted - len(rows))
                if len(rows) >= wanted:
                    break
            offset += 12 + length
    except (zlib.error, Malformed):
        return b""
    return bytes(rows)


def _signed(column: NDArray[np.uint8]) -> bool:
    alpha = np.packbits(column[:, -1] & 1).tobytes() if column.shape[1] in (2, 4) else b""
    colours = np.packbits((column[:, :3] & 1).reshape(-1)[:_BITS]).tobytes() if column.shape[1] >= 3 else b""
    return alpha in SIGNATURES or colours in SIGNATURES


def _read(source: Source, draft: Draft, kind: str) -> None:
    try:
        with opened(source.file(), kind) as image:
            pixels = np.asarray(image.convert("RGBA"))
        found = hidden_text(pixels)
    except Malformed as e:
        draft.warn(f"hidden text: {e.message}")
        return
    if found:
        draft.tag("stealth:channels", found[0])
        draft.tag("stealth", found[1])


def hidden_text(pixels: NDArray[np.uint8]) -> tuple[str, str] | None:
    """Read text hidden in lowest bits.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 4)
        Red, green, blue, alpha. Not modified.

    Returns
    -------
    channels, text : str
        "alpha" or "rgb", and what is written there; None where no signature is.

    Raises
    ------
    Malformed
        If there is a signature and no readable text after it.
    """
    for channels, planes in (("alpha", slice(3, 4)), ("rgb", slice(0, 3))):
        columns = pixels[:, :, planes].transpose(1, 0, 2)  # column by column
        head = np.packbits(columns[: _columns(_BITS + 32, pixels)].reshape(-1)[: _BITS + 32] & 1).tobytes()
        said = SIGNATURES.get(head[:15])
        if said is None or said[0] != channels:
            continue
        length = int.from_bytes(head[15:19], "big")
        if not 0 < length <= min(8 * TEXT, columns.size - _BITS - 32):
            raise Malformed("its length is not that of the picture")
        last = _BITS + 32 + length
        data = np.packbits(columns[: _columns(last, pixels)].reshape(-1)[_BITS + 32 : last] & 1).tobytes()
        return channels, _text(data[: length // 8], compressed=said[1])
    return None


def _columns(bits: int, pixels: NDArray[np.uint8]) -> int:
    return bits // max(int(pixels.shape[0]), 1) + 1


def _text(data: bytes, *, compressed: bool) -> str:
    if compressed:
        try:
            data = zlib.decompressobj(wbits=31).decompress(data, TEXT)
        except zlib.error as e:
            raise Malformed("the compressed text cannot be read") from e
    return data.decode("utf-8", "replace")
