"""The index of known fingerprints: every code within a distance of 31, exactly, among up to ten million and more.

Codes that were built in lie in eleven tables (see `bands`); what is added afterwards lies in a small side table that is
scanned, what is withdrawn is left out of answers. `merged` builds both in, at leisure: it returns a new index and leaves
the old one answering, so that a server swaps them when the new one stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.signatures import bands
from assay.signatures.codes import WORDS, Codes

RADIUS = bands.RADIUS
SCANNED = 1 << 15  # codes: below it a scan costs less than the probes of eleven tables
SIDE = 1 << 15  # waiting changes from which on merging pays
_MOST = (1 << 32) - 1  # positions are 32 bits
_ROOM = 64  # pairs that are expected; where there are more, the kernel runs again

Keys = NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """One known code near one that was asked for."""

    query: int  # row in the queries
    distance: int  # bits, 0 to 31
    key: int  # as it was given with the code


class HammingIndex:
    """Known codes by key. Several codes may have one key: the frames of a video.

    Searches are safe from several threads at once; adding and withdrawing are for one thread at a time.
    """

    def __init__(self, codes: Codes | None = None, keys: Keys | None = None) -> None:
        """Build an index.

        Parameters
        ----------
        codes : ndarray of uint64, shape (N, 4), optional
            Not copied where contiguous, and not to be changed afterwards.
        keys : ndarray of int64, shape (N,), optional
            One for each code; by default 0 to N - 1.

        Raises
        ------
        ValueError
            If shapes or types differ from these, or N is 2 ** 32 or more.
        """
        given = np.empty((0, WORDS), np.uint64) if codes is None else codes
        self._codes, self._keys = _checked(given, np.arange(len(given)) if keys is None else keys)
        self._withdrawn = np.zeros(len(self._codes), np.bool_)
        self._side = _checked(np.empty((0, WORDS), np.uint64), np.empty(0, np.int64))
        self._width = bands.width_for(len(self._codes)) if len(self._codes) >= SCANNED else 0
        self._starts, self._members = _tables(self._codes, self._width)
        self._toggles = bands.flips(self._width)

    def __len__(self) -> int:
        return len(self._codes) - int(self._withdrawn.sum()) + len(self._side[0])

    @property
    def nbytes(self) -> int:
        """Memory of codes, keys and tables, in bytes."""
        arrays = (self._codes, self._keys, self._withdrawn, self._starts, self._members, *self._side)
        return sum(a.nbytes for a in arrays)

    @property
    def waiting(self) -> int:
        """How many changes `merged` would build in; from `SIDE` on searches slow down."""
        return len(self._side[0]) + int(self._withdrawn.sum())

    def add(self, codes: Codes, keys: Keys) -> None:
        """Add codes (M, 4) with their keys (M,) to the side table; add many at once, since each call copies it.

        Raises
        ------
        ValueError
            If shapes or types differ from these.
        """
        more, names = _checked(codes, keys)
        old, before = self._side
        self._side = np.concatenate([old, more]), np.concatenate([before, names])

    def withdraw(self, key: int) -> int:
        """Leave every code of `key` out of later answers; return how many there were."""
        there = (self._keys == key) & ~self._withdrawn
        self._withdrawn |= there
        codes, keys = self._side
        kept = keys != key
        self._side = codes[kept], keys[kept]
        return int(there.sum() + (~kept).sum())

    def search(self, queries: Codes, radius: int = RADIUS) -> list[Hit]:
        """Find every known code within `radius` of each query: by query, then distance, then key.

        Parameters
        ----------
        queries : ndarray of uint64, shape (Q, 4)
            The eight orientations of a picture are eight queries.
        radius : int
            0 to 31: beyond it the tables would miss some.

        Raises
        ------
        ValueError
            If the shape or the radius is another.
        """
        if not 0 <= radius <= RADIUS:
            raise ValueError(f"the index is exact up to a distance of {RADIUS}, not {radius}")
        asked, _ = _checked(queries, np.arange(len(queries)))
        side_codes, side_keys = self._side
        built = self._near(asked, radius)
        built = built[~self._withdrawn[built[:, 1]]]
        aside = _all_near(asked, side_codes, radius)
        found = [Hit(q, d, int(self._keys[i])) for q, i, d in built.tolist()]
        found += [Hit(q, d, int(side_keys[i])) for q, i, d in aside.tolist()]
        return sorted(found)

    def merged(self) -> HammingIndex:
        """Build a new index of what this one knows now; this one goes on answering meanwhile."""
        kept = ~self._withdrawn
        codes, keys = self._side
        return HammingIndex(
            np.concatenate([self._codes[kept], codes]), np.concatenate([self._keys[kept], keys])
        )

    def _near(self, queries: Codes, radius: int) -> NDArray[np.int64]:
        if not self._width:
            return _all_near(queries, self._codes, radius)
        room = _ROOM + len(queries)
        while True:
            found = np.empty((room, 3), np.int64)
            count = bands.probe(
                queries, self._codes, self._starts, self._members, self._toggles, self._width, radius, found
            )
            if count <= room:
                return found[:count]
            room = count


def _all_near(queries: Codes, codes: Codes, radius: int) -> NDArray[np.int64]:
    room = _ROOM + len(queries)
    while True:
        found = np.empty((room, 3), np.int64)
        count = bands.scan(queries, codes, radius, found)
        if count <= room:
            return found[:count]
        room = count


def _tables(codes: Codes, width: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The eleven tables of an index, empty where it is to be scanned."""
    if not width:
        return np.empty((bands.BANDS, 0), np.uint32), np.empty((bands.BANDS, 0), np.uint32)
    starts = np.zeros((bands.BANDS, (1 << width) + 1), np.uint32)
    members = np.empty((bands.BANDS, len(codes)), np.uint32)
    for band in range(bands.BANDS):
        bands.fill(codes, band, width, starts[band], members[band])
    return starts, members


def _checked(codes: Codes, keys: Keys) -> tuple[Codes, Keys]:
    if codes.dtype != np.uint64 or codes.ndim != 2 or codes.shape[1] != WORDS:
        raise ValueError(f"codes are uint64 (N, 4), not {codes.dtype} {codes.shape}")
    if keys.dtype != np.int64 or keys.shape != (len(codes),):
        raise ValueError(f"keys are int64 ({len(codes)},), not {keys.dtype} {keys.shape}")
    if len(codes) > _MOST:
        raise ValueError(f"an index holds {_MOST} codes at most")
    return np.ascontiguousarray(codes), np.ascontiguousarray(keys)
