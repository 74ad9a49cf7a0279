"""The entropy-coded data of a JPEG, decoded by compiled loops (ITU-T T.81, Annexes F and G).

The data are hostile and numba checks no index: every read of the words is compared with their number, every table index
is masked, and every block's place follows from sizes that the caller has allocated for.

`parts` (P, 3) int64 are the stretches between restart markers: first word, end in bits, first MCU. `layout` (C, 7) int64
are the scan's components: first block in `out`, blocks to the next row, sampling factors h and v, DC table, AC table,
index of the predictor. All kernels return how many MCUs were read whole.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.media.compiled import compiled, inlined
from assay.media.huffman import LIMIT, OFFSET, SYMBOLS

Words = NDArray[np.uint32]
Ints = NDArray[np.int64]
Table = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Coefficients = NDArray[np.int16]

# Position in the block, natural order, of the k-th coefficient in zigzag order.
ZIGZAG = np.array(
    (
        *(0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28),
        *(35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63),
    ),
    dtype=np.int64,
)  # fmt: skip
_SCAN = "int64(uint32[::1], int64[:,::1], int64, int64, int64, int64[:,::1], int64[::1], int64, int64, int64, int32[:,::1], int16[::1])"


@compiled("Tuple((int64, int64))(uint8[::1], int64, uint8[::1], int64[:,::1], boolean)")
def unstuffed(data: Bytes, at: int, out: Bytes, parts: Ints, restarts: bool) -> tuple[int, int]:
    """Copy entropy-coded data from `at` without stuffing, each part on a word of its own, up to the next marker.

    `parts` gets first word, end in bits and the restart marker's number (-1 for the first). Returns where the marker
    stands and how many parts there are. `out` must hold 4/3 of the data and 16 bytes more.
    """
    size = data.size
    room = out.size - 8
    n = 0
    count = 0
    number = -1
    begin = 0
    while True:
        while at < size and n < room:
            value = data[at]
            if value == 0xFF:
                break
            out[n] = value
            n += 1
            at += 1
        if at + 1 < size and n < room:
            after = data[at + 1]
            if after == 0:
                out[n] = 0xFF
                n += 1
                at += 2
                continue
            if after == 0xFF:  # fill byte
                at += 1
                continue
        if count < parts.shape[0]:
            parts[count, 0] = begin >> 2
            parts[count, 1] = n * 8
            parts[count, 2] = number
            count += 1
        if not (restarts and at + 1 < size and n < room and 0xD0 <= data[at + 1] <= 0xD7):
            return at, count
        number = int(data[at + 1]) - 0xD0
        at += 2
        while n & 3:
            out[n] = 0
            n += 1
        begin = n


@inlined
def _long_code(tables: Table, table: int, code: int) -> int:
    """Decode a code of more than ten bits out of the next sixteen: length << 8 | symbol, or 0 if it is none."""
    for length in range(11, 17):
        if code < tables[table, LIMIT + length]:
            index = (code >> (16 - length)) + tables[table, OFFSET + length]
            return int(length << 8 | tables[table, SYMBOLS + (index & 255)])
    return 0


@inlined
def _signed(value: int, size: int) -> int:
    """The number that `size` bits stand for (F.2.2.1, EXTEND)."""
    return value - (((1 << size) - 1) if value < ((1 << size) >> 1) else 0)


@inlined
def _wiped(out: Coefficients, layout: Ints, row: int, column: int) -> None:
    """Make the blocks of one MCU zero: it was not read whole."""
    for c in range(layout.shape[0]):
        for y in range(layout[c, 3]):
            base = (layout[c, 0] + (row * layout[c, 3] + y) * layout[c, 1] + column * layout[c, 2]) * 64
            out[base : base + layout[c, 2] * 64] = 0


@compiled(_SCAN)
def sequential(
    words: Words, parts: Ints, interval: int, total: int, across: int, layout: Ints, last_dc: Ints,
    _start: int, end: int, shift: int, tables: Table, out: Coefficients,
) -> int:  # fmt: skip
    """Decode a sequential scan (`end` 63, `shift` 0), or the first DC scan of a progressive one (`end` 0)."""
    last_word = words.size - 1
    done = 0
    for part in range(parts.shape[0]):
        word, end_bits, first = parts[part, 0], parts[part, 1], parts[part, 2]
        held = bits = np.int64(0)
        last_dc[:] = 0
        for mcu in range(first, min(first + interval, total)):
            row = mcu // across
            column = mcu - row * across
            good = True
            for c in range(layout.shape[0]):
                stride, wide, high = layout[c, 1], layout[c, 2], layout[c, 3]
                dc_table, ac_table = layout[c, 4] & 7, layout[c, 5] & 7
                corner = layout[c, 0] + row * high * stride + column * wide
                for n in range(wide * high if good else 0):
                    base = (corner + n // wide * stride + n % wide) * 64
                    if bits < 32:
                        held = (held << 32) | np.int64(words[min(word, last_word)])
                        word += 1
                        bits += 32
                    entry = tables[dc_table, (held >> (bits - 10)) & 1023]
                    if entry == 0:
                        entry = _long_code(tables, dc_table, (held >> (bits - 16)) & 0xFFFF)
                    size = np.int64(entry & 255)
                    if entry == 0 or size > 15:
                        good = False
                        break
                    bits -= (entry >> 8) + size
                    last_dc[c] += _signed((held >> bits) & ((1 << size) - 1), size)
                    out[base] = np.int16(last_dc[c] << shift)
                    k = np.int64(1)
                    while k <= end:
                        if bits < 32:
                            held = (held << 32) | np.int64(words[min(word, last_word)])
                            word += 1
                            bits += 32
                        entry = tables[ac_table, (held >> (bits - 10)) & 1023]
                        if entry == 0:
                            entry = _long_code(tables, ac_table, (held >> (bits - 16)) & 0xFFFF)
                        size = np.int64(entry & 15)
                        k += (entry >> 4) & 15
                        if entry == 0 or k > 63:
                            good = False
                            break
                        bits -= (entry >> 8) + size
                        if size == 0:
                            if entry & 0xF0 != 0xF0:  # end of block
                                break
                        else:
                            out[base + ZIGZAG[k]] = np.int16(
                                _signed((held >> bits) & ((1 << size) - 1), size)
                            )
                        k += 1
            if not good or word * 32 - bits > end_bits:
                _wiped(out, layout, row, column)
                break
            done += 1
    return done


@compiled(_SCAN)
def refined_dc(
    words: Words, parts: Ints, interval: int, total: int, across: int, layout: Ints, _last_dc: Ints,
    _start: int, _end: int, shift: int, _tables: Table, out: Coefficients,
) -> int:  # fmt: skip
    """Read one more bit of every DC (G.1.2.1)."""
    last_word = words.size - 1
    done = 0
    for part in range(parts.shape[0]):
        end_bits, first = parts[part, 1], parts[part, 2]
        at = parts[part, 0] * 32
        for mcu in range(first, min(first + interval, total)):
            if at >= end_bits:
                break
            row = mcu // across
            column = mcu - row * across
            for c in range(layout.shape[0]):
                stride, wide, high = layout[c, 1], layout[c, 2], layout[c, 3]
                corner = layout[c, 0] + row * high * stride + column * wide
                for n in range(wide * high):
                    bit = np.int64(words[min(at >> 5, last_word)]) >> (31 - (at & 31)) & 1
                    at += 1
                    out[(corner + n // wide * stride + n % wide) * 64] |= np.int16(bit << shift)
            done += 1
    return done


@compiled(_SCAN)
def first_ac(
    words: Words, parts: Ints, interval: int, total: int, across: int, layout: Ints, _last_dc: Ints,
    start: int, end: int, shift: int, tables: Table, out: Coefficients,
) -> int:  # fmt: skip
    """Decode the first scan of a band of AC coefficients of one component (G.1.2.2)."""
    last_word = words.size - 1
    table = layout[0, 5] & 7
    done = 0
    for part in range(parts.shape[0]):
        word, end_bits, first = parts[part, 0], parts[part, 1], parts[part, 2]
        held = bits = np.int64(0)
        skip = np.int64(0)  # blocks that an end-of-band run still covers
        for mcu in range(first, min(first + interval, total)):
            if skip:
                skip -= 1
                done += 1
                continue
            base = (layout[0, 0] + mcu // across * layout[0, 1] + mcu % across) * 64
            good = True
            k = start
            while k <= end:
                if bits < 32:
                    held = (held << 32) | np.int64(words[min(word, last_word)])
                    word += 1
                    bits += 32
                entry = tables[table, (held >> (bits - 10)) & 1023]
                if entry == 0:
                    entry = _long_code(tables, table, (held >> (bits - 16)) & 0xFFFF)
                size = np.int64(entry & 15)
                run = int(entry >> 4) & 15
                bits -= entry >> 8
                if size == 0 and entry != 0 and run < 15:
                    bits -= run
                    skip = np.int64((1 << run) - 1 + ((held >> bits) & ((1 << run) - 1)))
                    break
                k += run
                if entry == 0 or k > 63:
                    good = False
                    break
                if size:
                    bits -= size
                    value = _signed((held >> bits) & ((1 << size) - 1), size)
                    out[base + ZIGZAG[k]] = np.int16(value << shift)
                k += 1
            if not good or word * 32 - bits > end_bits:
                break
            done += 1
    return done


@compiled(_SCAN)
def refined_ac(
    words: Words, parts: Ints, interval: int, total: int, across: int, layout: Ints, _last_dc: Ints,
    start: int, end: int, shift: int, tables: Table, out: Coefficients,
) -> int:  # fmt: skip
    """Read one more bit of a band of AC coefficients of one component (G.1.2.3)."""
    last_word = words.size - 1
    table = layout[0, 5] & 7
    unit = np.int64(1) << shift
    done = 0
    for part in range(parts.shape[0]):
        word, end_bits, first = parts[part, 0], parts[part, 1], parts[part, 2]
        held = bits = np.int64(0)
        skip = np.int64(0)
        for mcu in range(first, min(first + interval, total)):
            base = (layout[0, 0] + mcu // across * layout[0, 1] + mcu % across) * 64
            good = True
            k = start
            while k <= end:
                value = np.int64(0)  # of a coefficient that becomes non-zero here
                zeros = np.int64(64)  # coefficients that are still zero to pass; 64: the rest of the band
                if skip == 0:
                    if bits < 32:
                        held = (held << 32) | np.int64(words[min(word, last_word)])
                        word += 1
                        bits += 32
                    entry = tables[table, (held >> (bits - 10)) & 1023]
                    if entry == 0:
                        entry = _long_code(tables, table, (held >> (bits - 16)) & 0xFFFF)
                    if entry == 0:
                        good = False
                        break
                    bits -= entry >> 8
                    zeros = np.int64(entry >> 4) & 15
                    if entry & 15:
                        bits -= 1
                        value = unit if (held >> bits) & 1 else -unit
                    elif zeros < 15:
                        bits -= zeros
                        skip = (1 << zeros) + ((held >> bits) & ((1 << zeros) - 1))
                        zeros = np.int64(64)
                while k <= end:
                    place = base + ZIGZAG[k]
                    known = np.int64(out[place])
                    if known:
                        if bits < 1:
                            held = np.int64(words[min(word, last_word)])
                            word += 1
                            bits = np.int64(32)
                        bits -= 1
                        if (held >> bits) & 1 and not (abs(known) & unit):
                            out[place] = np.int16(known + (unit if known > 0 else -unit))
                    else:
                        if zeros == 0:
                            if value:
                                out[place] = np.int16(value)
                            break
                        zeros -= 1
                    k += 1
                k += 1
            if not good or word * 32 - bits > end_bits:
                break
            if skip:
                skip -= 1
            done += 1
    return done
