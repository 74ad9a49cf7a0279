"""JPEG's Huffman tables as arrays that decode by look-up (ITU-T T.81, Annexes C, F and K)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from assay.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOK = 10  # bits that the first look-up resolves; longer codes take a second step
# Where things stand in a table's row: length << 8 | symbol by the next ten bits (0: a longer code); then by length n
# what a code of that length is below, left-aligned in 16 bits; what to add to it for its symbol's index; the symbols.
LIMIT = 1 << LOOK
OFFSET = LIMIT + 17
SYMBOLS = OFFSET + 17
AC = 4  # tables 0-3 are for DC, 4-7 for AC

_DC_VALUES = bytes(range(12))
# Tables K.3 to K.6: what a file without its own tables means (motion JPEG).
_LUMA_AC = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a34353637"
    "38393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3"
    "a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
_CHROMA_AC = bytes.fromhex(
    "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a3536"
    "3738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999a"
    "a2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)
_STANDARD = {
    0: ((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0), _DC_VALUES),
    1: ((0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0), _DC_VALUES),
    AC: ((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D), _LUMA_AC),
    AC + 1: ((0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77), _CHROMA_AC),
}


class Tables:
    """Eight tables side by side; an empty one knows no code."""

    def __init__(self) -> None:
        self.rows = np.zeros((8, SYMBOLS + 256), np.int32)

    @classmethod
    def standard(cls) -> Tables:
        """The tables of Annex K, which hold until a file brings its own."""
        tables = cls()
        for index, (counts, values) in _STANDARD.items():
            tables.define(index, counts, values)
        return tables

    def define(self, index: int, counts: Sequence[int], values: bytes | bytearray) -> None:
        """Set table `index` from the number of codes of each length 1 to 16, and their symbols in order.

        Raises
        ------
        Failed
            If there are more codes of some length than that length can hold, or fewer symbols than codes.
        """
        if len(counts) != 16 or sum(counts) > len(values) or len(values) > 256:
            raise Failed("a Huffman table of the JPEG is malformed", code="jpeg_tables")
        row = self.rows[index]
        row[:] = 0
        row[SYMBOLS : SYMBOLS + len(values)] = np.frombuffer(values, np.uint8)
        code = first = 0
        for length, count in enumerate(counts, 1):
            row[OFFSET + length] = first - code
            for k in range(count if length <= LOOK else 0):
                low = (code + k) << (LOOK - length)
                row[low : low + (1 << (LOOK - length))] = length << 8 | values[first + k]
            code += count
            first += count
            if code > 1 << length:
                raise Failed("a Huffman table of the JPEG has too many codes", code="jpeg_tables")
            row[LIMIT + length] = code << (16 - length)
            code <<= 1
