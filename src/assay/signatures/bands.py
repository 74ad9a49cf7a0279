"""Exact search in codes of 256 bits: eleven bands, each a table of buckets, and the kernels that probe them.

Why it misses nothing up to a distance of 31. Eleven disjoint bands are taken out of the 256 bits. Were a code at a
distance of 31 or less to differ in at least 3 bits of each of the first ten bands and in at least 2 of the eleventh, it
would differ in 10 x 3 + 2 = 32 bits. So it differs in at most 2 bits of one of the ten, or in at most 1 of the eleventh:
looking into every bucket within 2 bits of the query's in ten bands and within 1 in the last reaches it. What is found in
a bucket is then compared whole. The argument holds for bands of any width, so their width follows the number of codes:
23 bits (11 x 23 = 253 of 256) for ten million, fewer for fewer, about one code a bucket.

A band takes every eleventh bit, not neighbouring ones: PDQ's neighbouring frequencies lean alike in real pictures, and
buckets would fill unevenly.

References
----------
M. Norouzi, A. Punjani, D. Fleet, "Fast exact search in Hamming space with multi-index hashing", TPAMI 36(6), 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from assay.media.compiled import compiled
from assay.signatures.codes import Codes

BANDS = 11
RADIUS = 31  # 3 bits in ten bands and 2 in one make 32
WIDEST = 23
NARROWEST = 8


def width_for(count: int) -> int:
    """Bits of a band: about one code a bucket."""
    return min(WIDEST, max(NARROWEST, (max(1, count) - 1).bit_length()))


def flips(width: int) -> NDArray[np.uint32]:
    """What to toggle in a band's key, by number of bits: none, each one, each two; shape (1 + w + w (w - 1) / 2,)."""
    one = [1 << i for i in range(width)]
    two = [a | b for i, a in enumerate(one) for b in one[:i]]
    return np.array([0, *one, *two], np.uint32)


@intrinsic  # type: ignore[untyped-decorator]
def _ones(_typing: Any, _word: Any) -> Any:
    """Count the bits of a word that are set: LLVM's own instruction, four times as fast as shifts and masks."""

    def generated(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generated


@compiled("uint32(Array(uint64, 2, 'C', True), int64, int64, int64)")
def _key(codes: Codes, i: Any, band: int, width: int) -> Any:
    """The band's bits of code `i`: bits band, band + 11, band + 22 ... of the 256."""
    key = np.uint32(0)
    for k in range(width):
        bit = band + k * 11
        key |= np.uint32((codes[i, bit >> 6] >> np.uint64(bit & 63)) & np.uint64(1)) << np.uint32(k)
    return key


@compiled("void(Array(uint64, 2, 'C', True), int64, int64, uint32[::1], uint32[::1])")
def fill(
    codes: Codes, band: int, width: int, starts: NDArray[np.uint32], members: NDArray[np.uint32]
) -> None:
    """Sort the codes' positions by a band's key.

    Parameters
    ----------
    codes : ndarray of uint64, shape (N, 4), N below 2 ** 32
    band, width : int
        Which band, and its bits.
    starts : ndarray of uint32, shape (2 ** width + 1,)
        Zeros; overwritten: where each bucket begins in `members`, and N at the end.
    members : ndarray of uint32, shape (N,)
        Overwritten: positions, bucket by bucket, rising in each.
    """
    count = codes.shape[0]
    keys = np.empty(count, np.uint32)
    for i in range(count):
        key = np.uint32(0)
        for k in range(width):  # as in `_key`, which to call costs more than this
            bit = band + k * 11
            key |= np.uint32((codes[i, bit >> 6] >> np.uint64(bit & 63)) & np.uint64(1)) << np.uint32(k)
        keys[i] = key
        starts[key + 1] += np.uint32(1)
    for b in range(1, starts.shape[0]):
        starts[b] += starts[b - 1]
    for i in range(count):  # `starts` moves on as a bucket fills, and is moved back below
        members[starts[keys[i]]] = np.uint32(i)
        starts[keys[i]] += np.uint32(1)
    for b in range(starts.shape[0] - 1, 0, -1):
        starts[b] = starts[b - 1]
    starts[0] = np.uint32(0)


@compiled(
    "int64(Array(uint64, 2, 'C', True), Array(uint64, 2, 'C', True), Array(uint32, 2, 'C', True), "
    "Array(uint32, 2, 'C', True), Array(uint32, 1, 'C', True), int64, int64, int64[:, ::1])"
)
def probe(
    queries: Codes,
    codes: Codes,
    starts: NDArray[np.uint32],
    members: NDArray[np.uint32],
    toggles: NDArray[np.uint32],
    width: int,
    radius: int,
    found: NDArray[np.int64],
) -> int:
    """Every pair of a query and a code within `radius`, once each.

    Parameters
    ----------
    queries, codes : ndarray of uint64, shapes (Q, 4) and (N, 4)
    starts, members : ndarray of uint32, shapes (11, 2 ** width + 1) and (11, N)
        As `fill` writes them.
    toggles : ndarray of uint32
        `flips(width)`.
    width, radius : int
        Bits of a band; the greatest distance, at most 31.
    found : ndarray of int64, shape (R, 3)
        Overwritten: query, position and distance of the first R pairs.

    Returns
    -------
    count : int
        How many pairs there are, which may be more than R.
    """
    count = 0
    query_keys = np.empty(11, np.uint32)
    lows, highs = np.empty(toggles.shape[0], np.int64), np.empty(toggles.shape[0], np.int64)
    picked = np.empty(4096, np.int64)
    for q in range(queries.shape[0]):
        q0, q1, q2, q3 = queries[q, 0], queries[q, 1], queries[q, 2], queries[q, 3]
        for band in range(11):
            query_keys[band] = _key(queries, q, band, width)
        for band in range(11):
            # Bounds, members and codes are read in three passes: each pass' reads wait for memory side by side.
            last = toggles.shape[0] if band < 10 else 1 + width
            total = 0
            for t in range(last):
                bucket = query_keys[band] ^ toggles[t]
                lows[t], highs[t] = starts[band, bucket], starts[band, bucket + 1]
                total += highs[t] - lows[t]
            if total > picked.shape[0]:
                picked = np.empty(total, np.int64)
            total = 0
            for t in range(last):
                for at in range(lows[t], highs[t]):
                    picked[total] = members[band, at]
                    total += 1
            for n in range(total):
                i = picked[n]
                # Half of the code is enough to leave out nearly all others; calls would cost more than this.
                half = _ones(q0 ^ codes[i, 0]) + _ones(q1 ^ codes[i, 1])
                if half > 31:
                    continue
                distance = np.int64(half + _ones(q2 ^ codes[i, 2]) + _ones(q3 ^ codes[i, 3]))
                if distance > radius:
                    continue
                earlier = False  # a pair is counted in the first band that reaches it
                for b in range(band):
                    if _ones(np.uint64(query_keys[b] ^ _key(codes, i, b, width))) <= 2:
                        earlier = True
                        break
                if earlier:
                    continue
                if count < found.shape[0]:
                    found[count, 0], found[count, 1], found[count, 2] = q, i, distance
                count += 1
    return count


@compiled("int64(Array(uint64, 2, 'C', True), Array(uint64, 2, 'C', True), int64, int64[:, ::1])")
def scan(queries: Codes, codes: Codes, radius: int, found: NDArray[np.int64]) -> int:
    """The same by comparing every pair: for few codes, and to check the other against."""
    count = 0
    for q in range(queries.shape[0]):
        q0, q1, q2, q3 = queries[q, 0], queries[q, 1], queries[q, 2], queries[q, 3]
        for i in range(codes.shape[0]):
            half = _ones(q0 ^ codes[i, 0]) + _ones(q1 ^ codes[i, 1])
            if half > 31:
                continue
            distance = np.int64(half + _ones(q2 ^ codes[i, 2]) + _ones(q3 ^ codes[i, 3]))
            if distance <= radius:
                if count < found.shape[0]:
                    found[count, 0], found[count, 1], found[count, 2] = q, i, distance
                count += 1
    return count
