"""Where does the 8 x 8 grid of a JPEG start? Every pixel votes; the kernels that count.

A block that JPEG quantised keeps DCT coefficients of nearly zero only when it is cut out at its own place. Each pixel
lies in 64 blocks, one for each possible origin of the grid, and votes for the one with the most zeros.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.media.compiled import compiled

NO_VOTE = 64
_AAN = np.array([1.0] + [np.sqrt(2.0) * np.cos(k * np.pi / 16.0) for k in range(1, 8)])
# The fast transform below scales coefficient (u, v) by 8 a[u] a[v]; a coefficient is "zero" when it rounds to zero.
ZERO_BELOW = (0.5 * 8.0 * np.outer(_AAN, _AAN)).astype(np.float32)


@compiled("uint8[:, ::1](Array(uint8, 3, 'C', True))")
def luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma of ITU-R BT.601 as JFIF uses it, rounded: (H, W, 3) to (H, W)."""
    height, width = rgb.shape[0], rgb.shape[1]
    out = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            weighted = (
                np.int32(19595) * np.int32(rgb[y, x, 0])
                + np.int32(38470) * np.int32(rgb[y, x, 1])
                + np.int32(7471) * np.int32(rgb[y, x, 2])
            )
            out[y, x] = (weighted + np.int32(32768)) >> np.int32(16)
    return out


@compiled("void(Array(uint8, 2, 'C', True), int64, float32[:, ::1])")
def _columns(grey: NDArray[np.uint8], top: int, out: NDArray[np.float32]) -> None:
    """Vertical 8-point DCT of the rows from `top`, for every column: (8, W), scaled as Arai, Agui and Nakajima do."""
    c4, c6 = np.float32(0.70710678), np.float32(0.38268343)
    c26, c2p6 = np.float32(0.54119610), np.float32(1.30656296)
    for x in range(grey.shape[1]):
        p0, p1 = np.float32(grey[top, x]), np.float32(grey[top + 1, x])
        p2, p3 = np.float32(grey[top + 2, x]), np.float32(grey[top + 3, x])
        p4, p5 = np.float32(grey[top + 4, x]), np.float32(grey[top + 5, x])
        p6, p7 = np.float32(grey[top + 6, x]), np.float32(grey[top + 7, x])
        s0, s1, s2, s3 = p0 + p7, p1 + p6, p2 + p5, p3 + p4
        d0, d1, d2, d3 = p0 - p7, p1 - p6, p2 - p5, p3 - p4
        e0, e1, e2, e3 = s0 + s3, s1 + s2, s1 - s2, s0 - s3
        out[0, x], out[4, x] = e0 + e1, e0 - e1
        z1 = (e2 + e3) * c4
        out[2, x], out[6, x] = e3 + z1, e3 - z1
        o0, o1, o2 = d3 + d2, d2 + d1, d1 + d0
        z5 = (o0 - o2) * c6
        z2, z4, z3 = c26 * o0 + z5, c2p6 * o2 + z5, o1 * c4
        z11, z13 = d0 + z3, d0 - z3
        out[5, x], out[3, x], out[1, x], out[7, x] = z13 + z2, z13 - z2, z11 + z4, z11 - z4


@compiled("void(float32[::1], float32[::1], int32[::1])")
def _count_row(row: NDArray[np.float32], below: NDArray[np.float32], zeros: NDArray[np.int32]) -> None:
    """Horizontal 8-point DCT at every x of one vertical frequency; adds to `zeros` how many outputs are zero."""
    c4, c6 = np.float32(0.70710678), np.float32(0.38268343)
    c26, c2p6 = np.float32(0.54119610), np.float32(1.30656296)
    b0, b1, b2, b3 = below[0], below[1], below[2], below[3]
    b4, b5, b6, b7 = below[4], below[5], below[6], below[7]
    for x in range(zeros.shape[0]):
        p0, p1, p2, p3 = row[x], row[x + 1], row[x + 2], row[x + 3]
        p4, p5, p6, p7 = row[x + 4], row[x + 5], row[x + 6], row[x + 7]
        s0, s1, s2, s3 = p0 + p7, p1 + p6, p2 + p5, p3 + p4
        d0, d1, d2, d3 = p0 - p7, p1 - p6, p2 - p5, p3 - p4
        e0, e1, e2, e3 = s0 + s3, s1 + s2, s1 - s2, s0 - s3
        z1 = (e2 + e3) * c4
        o0, o1, o2 = d3 + d2, d2 + d1, d1 + d0
        z5 = (o0 - o2) * c6
        z2, z4, z3 = c26 * o0 + z5, c2p6 * o2 + z5, o1 * c4
        z11, z13 = d0 + z3, d0 - z3
        n = np.int32(abs(e0 + e1) < b0) + np.int32(abs(e0 - e1) < b4)
        n += np.int32(abs(e3 + z1) < b2) + np.int32(abs(e3 - z1) < b6)
        n += np.int32(abs(z13 + z2) < b5) + np.int32(abs(z13 - z2) < b3)
        n += np.int32(abs(z11 + z4) < b1) + np.int32(abs(z11 - z4) < b7)
        zeros[x] += n


@compiled("boolean(Array(uint8, 2, 'C', True), int64, int64)")
def _striped(grey: NDArray[np.uint8], top: int, left: int) -> bool:
    """Is the block constant along x, or along y? Such a block is full of zeros wherever it is cut out."""
    rows = True
    for y in range(top, top + 8):
        for x in range(left + 1, left + 8):
            if grey[y, x] != grey[y, left]:
                rows = False
                break
        if not rows:
            break
    if rows:
        return True
    for y in range(top + 1, top + 8):
        for x in range(left, left + 8):
            if grey[y, x] != grey[top, x]:
                return False
    return True


@compiled("int16(int16, int16)")
def _better(a: int, b: int) -> int:
    """The key with more zeros; of equals, one that is marked as tied (bit 6)."""
    most = max(a, b)
    return np.int16(most | np.int16(64)) if (a >> 7) == (b >> 7) else np.int16(most)  # type: ignore[return-value]


@compiled("void(int16[::1], int16[::1])")
def _window(keys: NDArray[np.int16], spare: NDArray[np.int16]) -> None:
    """Best key of the 8 blocks that start at x to x + 7, in place; the last 7 entries become meaningless."""
    n = keys.shape[0]
    for x in range(n - 1):
        spare[x] = _better(keys[x], keys[x + 1])
    for x in range(n - 3):
        keys[x] = _better(spare[x], spare[x + 2])
    for x in range(n - 7):
        spare[x] = _better(keys[x], keys[x + 4])
    for x in range(n - 7):
        keys[x] = spare[x]


@compiled("uint8[:, ::1](Array(uint8, 2, 'C', True), float32[:, ::1])")
def votes(grey: NDArray[np.uint8], below: NDArray[np.float32]) -> NDArray[np.uint8]:
    """For each pixel the grid origin under which its block has the most zero DCT coefficients.

    Parameters
    ----------
    grey : ndarray of uint8, shape (H, W), H and W at least 16
        Luma. Not modified.
    below : ndarray of float32, shape (8, 8)
        `ZERO_BELOW`.

    Returns
    -------
    votes : ndarray of uint8, shape (H, W)
        ``8 * (y0 % 8) + x0 % 8`` of the winning block's upper left corner (x0, y0); `NO_VOTE` for a tie, a block that
        is constant along an axis, a block without zeros, and within 7 pixels of the border.

    References
    ----------
    T. Nikoukhah, J. Anger, M. Colom, J.-M. Morel, R. Grompone von Gioi, "ZERO: a Local JPEG Grid Origin Detector
    Based on the Number of DCT Zeros and its Applications in Image Forensics", IPOL 11, 2021.
    """
    height, width = grey.shape
    out = np.full((height, width), np.uint8(NO_VOTE), np.uint8)
    across = width - 7
    transformed = np.empty((8, width), np.float32)
    zeros = np.empty(across, np.int32)
    ring = np.empty((8, across), np.int16)
    spare = np.empty(across, np.int16)
    for top in range(height - 7):
        _columns(grey, top, transformed)
        zeros[:] = 0
        for v in range(8):
            _count_row(transformed[v], below[v], zeros)
        keys = ring[top % 8]
        origin = 8 * (top % 8)
        for x in range(across):
            keys[x] = (zeros[x] << 7) | (origin + (x & 7))
        for x in range(across):
            if zeros[x] >= 56 and _striped(grey, top, x):
                keys[x] |= np.int16(64)
        _window(keys, spare)
        if top < 7:
            continue
        for x in range(across - 7):
            best = ring[0, x]
            for r in range(1, 8):
                best = _better(best, ring[r, x])
            if not best & 64 and best >> 7:
                out[top, x + 7] = best & 63
    return out


@compiled("uint8[:, :, ::1](Array(uint8, 2, 'C', True))")
def tally(ballots: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Votes per origin in cells of 8 x 8 pixels: (H, W) to (64, H // 8, W // 8)."""
    rows, columns = ballots.shape[0] // 8, ballots.shape[1] // 8
    out = np.zeros((64, rows, columns), np.uint8)
    for y in range(rows * 8):
        for x in range(columns * 8):
            if ballots[y, x] < NO_VOTE:
                out[ballots[y, x], y >> 3, x >> 3] += np.uint8(1)
    return out
