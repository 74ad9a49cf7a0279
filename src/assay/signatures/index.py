"""The index of known fingerprints: every code within a distance of 31, exactly, among up to ten million and more.

Codes that were built in lie in sixteen tables (see `bands`); what is added afterwards lies in a small side table that is
scanned, what is withdrawn is left out of answers. `merged` builds both in, at leisure: it returns a new index and leaves
the old one answering, so that a server swaps them when the new one stands.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.signatures import bands
from assay.signatures.codes import WORDS, Codes

RADIUS = bands.RADIUS
SCANNED = 1 << 15  # codes: below it a scan costs less than the probes of sixteen tables
SIDE = 1 << 15  # waiting changes from which on merging pays
READ = (
    8  # members of buckets, in shares of all codes: reading more of them costs more than comparing every code
)
COMPARED = (
    1 / 32
)  # of all codes that are compared whole, one by one out of order, before comparing every code is cheaper
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
            Read once, in order: it may be a file that is mapped.
        keys : ndarray of int64, shape (N,), optional
            One for each code; by default 0 to N - 1, which takes no memory.

        Raises
        ------
        ValueError
            If shapes or types differ from these, or N is 2 ** 32 or more.
        """
        given = np.empty((0, WORDS), np.uint64) if codes is None else codes
        checked, named = _checked(given, keys)
        self._build(bands.arranged(checked), named)

    def _build(self, codes: Codes, keys: Keys | None) -> None:
        self._codes, self._keys = codes, keys  # arranged
        self._withdrawn = np.zeros(len(codes), np.bool_)
        self._side = np.empty((0, WORDS), np.uint64), np.empty(0, np.int64)
        self.tables = _tables(codes) if len(codes) >= SCANNED else None  # see `bands.fill`; None: scanned

    def __len__(self) -> int:
        return len(self._codes) - int(self._withdrawn.sum()) + len(self._side[0])

    @property
    def nbytes(self) -> int:
        """Memory of codes, keys and tables, in bytes."""
        keys = () if self._keys is None else (self._keys,)
        arrays = (self._codes, *keys, self._withdrawn, *(self.tables or ()), *self._side)
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
        more, _ = _checked(codes, keys)
        old, before = self._side
        self._side = np.concatenate([old, bands.arranged(more)]), np.concatenate([before, keys])

    def withdraw(self, key: int) -> int:
        """Leave every code of `key` out of later answers; return how many there were."""
        there = self._named() == key
        there &= ~self._withdrawn
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
        found = self.found(queries, radius)
        return sorted(Hit(q, d, k) for q, d, k in found.tolist())

    def found(self, queries: Codes, radius: int = RADIUS) -> NDArray[np.int64]:
        """The same as an array, shape (R, 3), in no order: query, distance and key. For answers of a million hits."""
        if not 0 <= radius <= RADIUS:
            raise ValueError(f"the index is exact up to a distance of {RADIUS}, not {radius}")
        asked = bands.arranged(_checked(queries, None)[0])
        side_codes, side_keys = self._side
        built = self._near(asked, radius)
        built = built[~self._withdrawn[built[:, 1]]]
        aside = _all_near(asked, side_codes, radius)
        if self._keys is not None:
            built[:, 1] = self._keys[built[:, 1]]
        aside[:, 1] = side_keys[aside[:, 1]]
        return np.concatenate([built, aside])[:, [0, 2, 1]]

    def merged(self) -> HammingIndex:
        """Build a new index of what this one knows now; this one goes on answering meanwhile."""
        kept = ~self._withdrawn
        codes, keys = self._side
        new = HammingIndex()
        new._build(np.concatenate([self._codes[kept], codes]), np.concatenate([self._named()[kept], keys]))
        return new

    def _named(self) -> Keys:
        return np.arange(len(self._codes)) if self._keys is None else self._keys

    def _near(self, queries: Codes, radius: int) -> NDArray[np.int64]:
        if self.tables is None:
            return _all_near(queries, self._codes, radius)
        most_read, most_compared = READ * len(self._codes), int(COMPARED * len(self._codes))
        room = _ROOM + len(queries)
        while True:
            found = np.empty((room, 3), np.int64)
            count, _ = bands.probe(
                queries, self._codes, *self.tables, radius, most_read, most_compared, found
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


def _tables(codes: Codes) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
    """The sixteen tables of an index, filled on as many cores as there are."""
    starts = np.zeros((bands.BANDS, bands.BUCKETS + 1), np.uint32)
    members, nexts = (np.empty((bands.BANDS, len(codes)), np.uint32) for _ in range(2))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "index") as pool:
        filling = [
            pool.submit(bands.fill, codes, band, starts[band], members[band], nexts[band])
            for band in range(bands.BANDS)
        ]
        for each in filling:
            each.result()
    return starts, members, nexts


def _checked(codes: Codes, keys: Keys | None) -> tuple[Codes, Keys | None]:
    if codes.dtype != np.uint64 or codes.ndim != 2 or codes.shape[1] != WORDS:
        raise ValueError(f"codes are uint64 (N, 4), not {codes.dtype} {codes.shape}")
    if keys is not None and (keys.dtype != np.int64 or keys.shape != (len(codes),)):
        raise ValueError(f"keys are int64 ({len(codes)},), not {keys.dtype} {keys.shape}")
    if len(codes) > _MOST:
        raise ValueError(f"an index holds {_MOST} codes at most")
    return np.ascontiguousarray(codes), None if keys is None else np.ascontiguousarray(keys)
