"""Exact search in codes of 256 bits: sixteen bands, each a table of buckets, and the kernels that probe them.

Why it misses nothing up to a distance of 31. The 256 bits are dealt to sixteen bands of 16 bits, which stand in a ring.
A code at a distance of 31 or less differs by 31 / 16 bits a band on average. Going round the ring, there is a band from
which on no stretch lies above that average (start behind the place where the sum of what is over the average peaks): in
the first band it differs in 31 / 16 bits at most, in the first two together in 2 x 31 / 16, in the first three in 3 x 31 / 16.
Differences are whole, so those are 1, 3 and 5 bits. So every bucket within 1 bit of the query's is read, in every band;
beside each code that lies there stand its next two bands, which leave out all but about one of 20,000 others; what is left
is compared whole. A bucket's neighbours lie side by side, so that reading them waits for memory once.

What a query costs is bounded, however alike the known codes are: where its buckets hold more than it takes to compare
every code, or where too many codes of theirs have to be compared whole, every code is compared in turn.

A band takes one bit of each row and of each column of PDQ's frequencies: neighbouring ones lean alike in real pictures,
and buckets would fill unevenly.

References
----------
M. Norouzi, A. Punjani, D. Fleet, "Fast exact search in Hamming space with multi-index hashing", TPAMI 36(6), 2014;
J. Qin, C. Xiao, "Pigeonring: a principle for faster thresholded similarity search", PVLDB 12(1), 2018.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.media.compiled import compiled, intrinsic
from assay.signatures.codes import BITS, Codes, from_bits, to_bits

BANDS = 16
WIDTH = 16  # bits of a band
RADIUS = 31
WITHIN = (1, 3, 5)  # bits of the first band, the first two and the first three: k x 31 / 16, rounded down
BUCKETS = 1 << WIDTH


@cache
def order() -> NDArray[np.int64]:
    """Which bit of a code stands where once it is `arranged`; shape (256,), band by band, 16 bits each."""
    band, row = np.divmod(np.arange(BITS), WIDTH)
    places: NDArray[np.int64] = row * WIDTH + (band + row) % WIDTH
    return places


@cache
def _spread() -> NDArray[np.uint64]:
    """What each value of each byte of a code becomes in the arranged code; shape (32, 256, 4)."""
    bits = np.zeros((32, 256, BITS), np.bool_)
    values = to_bits(np.arange(256, dtype=np.uint64)[:, None] * np.array([1, 0, 0, 0], np.uint64))
    for byte in range(32):
        bits[byte, :, 8 * byte : 8 * byte + 8] = values[:, :8]
    return from_bits(bits[..., order()])


def arranged(codes: Codes) -> Codes:
    """Codes (N, 4) with their bits in the order of `order`: band k in bits 16 k to 16 k + 15. Distances stay."""
    out = np.empty((len(codes), 4), np.uint64)
    if not len(codes):
        return out  # and no kernel is loaded for it
    _arrange(np.ascontiguousarray(codes).view(np.uint8).reshape(-1, 32), _spread(), out)
    return out


@intrinsic
def _ones(_typing: Any, word: Any) -> Any:
    """Count the bits of a word that are set: LLVM's own instruction, four times as fast as shifts and masks."""

    def generated(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    from numba import types

    return (types.uint32 if word is types.uint32 else types.uint64)(word), generated


@compiled("void(Array(uint8, 2, 'C', True), Array(uint64, 3, 'C', True), uint64[:, ::1])")
def _arrange(raw: NDArray[np.uint8], spread: NDArray[np.uint64], out: Codes) -> None:
    for i in range(raw.shape[0]):
        a = b = c = d = np.uint64(0)
        for byte in range(32):
            value = raw[i, byte]
            a |= spread[byte, value, 0]
            b |= spread[byte, value, 1]
            c |= spread[byte, value, 2]
            d |= spread[byte, value, 3]
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = a, b, c, d


@compiled("void(Array(uint64, 2, 'C', True), int64, uint32[::1], uint32[::1], uint32[::1])")
def fill(
    codes: Codes,
    band: int,
    starts: NDArray[np.uint32],
    members: NDArray[np.uint32],
    nexts: NDArray[np.uint32],
) -> None:
    """Sort the codes' positions by a band.

    Parameters
    ----------
    codes : ndarray of uint64, shape (N, 4), N below 2 ** 32
        Arranged.
    band : int
    starts : ndarray of uint32, shape (65537,)
        Zeros; overwritten: where each bucket begins in `members`, and N at the end.
    members : ndarray of uint32, shape (N,)
        Overwritten: positions, bucket by bucket, rising in each.
    nexts : ndarray of uint32, shape (N,)
        Overwritten: each member's next two bands, the nearer one in the low bits.
    """
    count = codes.shape[0]
    word, shift = band >> 2, np.uint64(16 * (band & 3))
    word1, shift1 = (band + 1 & 15) >> 2, np.uint64(16 * (band + 1 & 3))
    word2, shift2 = (band + 2 & 15) >> 2, np.uint64(16 * (band + 2 & 3))
    low = np.uint64(0xFFFF)
    for i in range(count):
        starts[np.int64((codes[i, word] >> shift) & low) + 1] += np.uint32(1)
    for b in range(1, starts.shape[0]):
        starts[b] += starts[b - 1]
    for i in range(count):  # `starts` moves on as a bucket fills, and is moved back below
        key = np.int64((codes[i, word] >> shift) & low)
        at = starts[key]
        members[at] = np.uint32(i)
        following = (codes[i, word1] >> shift1) & low
        following |= ((codes[i, word2] >> shift2) & low) << np.uint64(16)
        nexts[at] = np.uint32(following)
        starts[key] = at + np.uint32(1)
    for b in range(starts.shape[0] - 1, 0, -1):
        starts[b] = starts[b - 1]
    starts[0] = np.uint32(0)


@compiled(
    "Tuple((int64, int64))(Array(uint64, 2, 'C', True), Array(uint64, 2, 'C', True), Array(uint32, 2, 'C', True), "
    "Array(uint32, 2, 'C', True), Array(uint32, 2, 'C', True), int64, int64, int64, int64[:, ::1])"
)
def probe(
    queries: Codes,
    codes: Codes,
    starts: NDArray[np.uint32],
    members: NDArray[np.uint32],
    nexts: NDArray[np.uint32],
    radius: int,
    most_read: int,
    most_compared: int,
    found: NDArray[np.int64],
) -> tuple[int, int]:
    """Every pair of a query and a code within `radius`, once each.

    Parameters
    ----------
    queries, codes : ndarray of uint64, shapes (Q, 4) and (N, 4)
        Arranged.
    starts, members, nexts : ndarray of uint32, shapes (16, 65537), (16, N) and (16, N)
        As `fill` writes them.
    radius : int
        The greatest distance, at most 31.
    most_read, most_compared : int
        How many members of buckets are read for a query, and how many of them compared whole; beyond either, the query
        is compared with every code instead.
    found : ndarray of int64, shape (R, 3)
        Overwritten: query, position and distance of the first R pairs.

    Returns
    -------
    count : int
        How many pairs there are, which may be more than R.
    scanned : int
        How many queries were compared with every code.
    """
    count, scanned = 0, 0
    low = np.uint64(0xFFFF)
    parts = np.empty(16, np.int64)  # the query's bands
    gaps = np.empty(16, np.int64)  # in which bits of each band a code differs
    for q in range(queries.shape[0]):
        q0, q1, q2, q3 = queries[q, 0], queries[q, 1], queries[q, 2], queries[q, 3]
        to_read = np.int64(0)
        for band in range(16):
            parts[band] = np.int64((queries[q, band >> 2] >> np.uint64(16 * (band & 3))) & low)
            for toggle in range(17):
                key = parts[band] ^ (1 << toggle >> 1)
                to_read += np.int64(starts[band, key + 1]) - np.int64(starts[band, key])
        before, compared = count, np.int64(0)
        bounded = bool(to_read <= most_read)
        for band in range(16 if bounded else 0):
            wanted = np.uint32(parts[band + 1 & 15] | parts[band + 2 & 15] << 16)
            for toggle in range(17):
                key = parts[band] ^ (1 << toggle >> 1)
                own = np.uint32(1 if toggle else 0)
                at, end = np.int64(starts[band, key]), np.int64(starts[band, key + 1])
                while at < end:
                    # Nearly every stretch has nothing near: its least is found without a branch, many at a time.
                    stretch = nexts[band, at : min(at + 256, end)]
                    least = np.uint32(32)
                    for j in range(stretch.shape[0]):
                        least = min(least, _ones(np.uint32(stretch[j] ^ wanted)))
                    if least + own > np.uint32(5):
                        at += 256
                        continue
                    for j in range(stretch.shape[0]):
                        differing = np.uint32(stretch[j] ^ wanted)
                        if _ones(differing) + own > np.uint32(5):
                            continue
                        if _ones(np.uint32(differing & np.uint32(0xFFFF))) + own > np.uint32(3):
                            continue
                        compared += 1
                        i = members[band, at + j]
                        d0, d1, d2, d3 = (
                            q0 ^ codes[i, 0],
                            q1 ^ codes[i, 1],
                            q2 ^ codes[i, 2],
                            q3 ^ codes[i, 3],
                        )
                        distance = np.int64(_ones(d0) + _ones(d1) + _ones(d2) + _ones(d3))
                        if distance > radius:
                            continue
                        for k in range(4):  # a pair is counted in the first band that reaches it
                            shift = np.uint64(16 * k)
                            gaps[k] = np.int64(_ones((d0 >> shift) & low))
                            gaps[4 + k] = np.int64(_ones((d1 >> shift) & low))
                            gaps[8 + k] = np.int64(_ones((d2 >> shift) & low))
                            gaps[12 + k] = np.int64(_ones((d3 >> shift) & low))
                        earlier = False
                        for b in range(band):
                            two = gaps[b] + gaps[b + 1 & 15]
                            if gaps[b] <= 1 and two <= 3 and two + gaps[b + 2 & 15] <= 5:
                                earlier = True
                                break
                        if earlier:
                            continue
                        if count < found.shape[0]:
                            found[count, 0], found[count, 1], found[count, 2] = q, i, distance
                        count += 1
                    at += 256
                if compared > most_compared:
                    bounded = False
                    break
            if not bounded:
                break
        if bounded:
            continue
        scanned += 1
        count = before
        for i in range(codes.shape[0]):
            half = _ones(q0 ^ codes[i, 0]) + _ones(q1 ^ codes[i, 1])
            if half > 31:
                continue
            distance = np.int64(half + _ones(q2 ^ codes[i, 2]) + _ones(q3 ^ codes[i, 3]))
            if distance <= radius:
                if count < found.shape[0]:
                    found[count, 0], found[count, 1], found[count, 2] = q, i, distance
                count += 1
    return count, scanned


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
