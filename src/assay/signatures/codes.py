"""Codes of 256 bits, as PDQ makes them: text, words and distances.

In memory a code is four words of 64 bits, the lowest bits first; as text it is 64 hexadecimal digits, the highest bits
first, as the reference implementation of PDQ prints it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]
BITS = 256
WORDS = 4
_HEX = re.compile(r"[0-9a-f]{64}")


def from_hex(text: str) -> Codes:
    """Read one code, shape (4,), from 64 hexadecimal digits in any case.

    Raises
    ------
    ValueError
        If `text` is anything else.
    """
    digits = text.lower()
    if not _HEX.fullmatch(digits):
        raise ValueError(f"not a code of 256 bits: {text[:80]!r}")
    return np.frombuffer(bytes.fromhex(digits)[::-1], "<u8").astype(np.uint64)


def to_hex(code: Codes) -> str:
    """Write one code, shape (4,), as 64 hexadecimal digits."""
    if code.shape != (WORDS,):
        raise ValueError(f"a code has the shape (4,), not {code.shape}")
    return code.astype("<u8").tobytes()[::-1].hex()


def from_bits(bits: NDArray[np.bool_]) -> Codes:
    """Pack bits (..., 256), bit 0 first, into codes (..., 4)."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64)


def to_bits(codes: Codes) -> NDArray[np.bool_]:
    """Unpack codes (..., 4) into bits (..., 256), bit 0 first."""
    raw = np.ascontiguousarray(codes.astype("<u8")).view(np.uint8)
    return np.unpackbits(raw, axis=-1, bitorder="little").astype(bool)


def stacked(codes: Iterable[Codes]) -> Codes:
    """Join codes (4,) to one array (N, 4), of no rows where there are none."""
    rows = list(codes)
    return np.stack(rows) if rows else np.empty((0, WORDS), np.uint64)


def distances(code: Codes, others: Codes) -> NDArray[np.int64]:
    """Count the bits in which `code` (4,) differs from each of `others` (..., 4): shape (...)."""
    counted: NDArray[np.int64] = np.bitwise_count(others ^ code).sum(axis=-1, dtype=np.int64)
    return counted
