"""Groups of calibration sources for any panel: what each detector said of each, kept apart, so that any subset can be fused.

Which detectors speak depends on the sample (a JPEG or not, large enough, a face in it), and with a dozen of them no list
of panels is complete. So the calibration keeps the LLRs of its sources in a table, one row a rendition, and the group of
a sample is made when it is needed: renditions like it on which at least the same detectors spoke, fused as it was.
docs/decisions/0006-thresholds-for-any-panel.md says what that promises.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.types import Kind
from assay.verdict.conformal import Threshold, conformal
from assay.verdict.mixture import Shares, mixed

STRATA = ((0, 0), (1, 84), (85, 100))  # JPEG qualities that leave alike traces; 0: no JPEG, or unknown
ENOUGH = 99  # sources that a budget of 1 % needs
PREFERRED = (
    199  # and from which a narrower comparison is preferred: of 99 the highest alone would be the threshold
)
FEW = 20  # fake sources of a kind that a recall needs
UNSPOKEN = int(np.iinfo(np.int16).min)
SCALE = 100  # steps to a nat
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Group:
    """Fused scores of calibration sources that are like one sample, by the detectors that spoke on it."""

    bona_fide: tuple[float, ...]  # nats, one per rendition, rising
    worth: tuple[float, ...]  # of each of them: 1 / how many its source has
    fakes: Mapping[Kind, tuple[float, ...]]  # nats, one per source and kind, rising
    qualities: tuple[int, int] = (0, 100)  # JPEG qualities of the renditions compared with
    assumed: tuple[
        str, ...
    ] = ()  # too rarely heard: taken at the highest that they said of a bona fide source

    @property
    def sources(self) -> int:
        """How many bona fide sources there are."""
        return round(math.fsum(self.worth))

    def threshold(self, budget: float) -> Threshold | None:
        """The score that a new bona fide medium like these reaches with probability `budget` at most."""
        return conformal(self.bona_fide, self.worth, budget)


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Renditions of one class, those of a source side by side."""

    source: NDArray[np.int32]  # (R,), rising
    quality: NDArray[np.int16]  # (R,), 0: no JPEG
    llrs: NDArray[np.int16]  # (R, D) in steps of 1 / SCALE nat, UNSPOKEN where the detector was silent

    def sources(self, chosen: Mask) -> int:
        """Count the sources of the chosen renditions."""
        return len(_starts(self.source[chosen]))

    def within(self, qualities: tuple[int, int]) -> Mask:
        return (self.quality >= qualities[0]) & (self.quality <= qualities[1])


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """All calibration sources of one media family and size."""

    detectors: tuple[str, ...]
    families: tuple[str, ...]  # of each detector
    claims: tuple[frozenset[Kind], ...]
    bona_fide: Side
    fakes: Mapping[Kind, Side]
    voices: tuple[int, ...]  # of each detector: bona fide sources on which it spoke

    def group(
        self, panel: Sequence[str], quality: int, caps: Mapping[str, float], shares: Shares
    ) -> Group | None:
        """Fuse the sources that are like a sample on which `panel` spoke.

        Parameters
        ----------
        panel
            Names of the calibrated detectors that spoke, at least one.
        quality
            Estimated JPEG quality, 0 for other codecs.
        caps
            Family to the most nats that it may add, for every family of this pool.
        shares
            Of kinds among fakes.

        Returns
        -------
        group : Group or None
            Each bona fide source by all of its renditions, each fake one by its first (their order is drawn by name), of
            the sample's own range of JPEG quality where there are `FEW` of a kind: what is found depends on it. None where
            a detector of the panel is not in the pool.
        """
        if not panel or not set(panel) <= set(self.detectors):
            return None
        columns = sorted(self.detectors.index(name) for name in set(panel))
        required, qualities = self._alike(columns, quality)
        assumed = [c for c in columns if c not in required]
        chosen = self.bona_fide.within(qualities) & _spoke(self.bona_fide, required)
        highest = {c: int(self.bona_fide.llrs[:, c].max()) for c in assumed}
        weights = caps, shares
        bona_fide = self._fused(self.bona_fide, chosen, columns, highest, weights)
        _, owner, often = np.unique(self.bona_fide.source[chosen], return_inverse=True, return_counts=True)
        fakes, own = {}, next(_widening(quality))
        for kind, side in self.fakes.items():
            spoke = _spoke(side, columns)
            seen = spoke & side.within(own)
            if side.sources(seen) < FEW:
                seen = spoke & side.within(qualities)
            fused = self._fused(side, seen, columns, {}, weights)
            fakes[kind] = _plain(fused[_starts(side.source[seen])])
        rising = np.argsort(bona_fide, kind="stable")
        worth = tuple((1.0 / often[owner])[rising].tolist())
        return Group(_plain(bona_fide), worth, fakes, qualities, tuple(self.detectors[c] for c in assumed))

    def _alike(self, columns: Sequence[int], quality: int) -> tuple[list[int], tuple[int, int]]:
        """Choose whom to compare with by who spoke on what, never by what was said: the promise rests on that."""
        side = self.bona_fide
        by_voice = sorted(columns, key=lambda c: (-self.voices[c], self.detectors[c]))
        for kept in range(len(columns), 0, -1):
            spoke = _spoke(side, by_voice[:kept])
            left = {q: side.sources(spoke & side.within(q)) for q in _widening(quality)}
            for enough in (PREFERRED, ENOUGH):
                for qualities, sources in left.items():
                    if sources >= enough:
                        return by_voice[:kept], qualities
        return list(columns), (0, 100)

    def _fused(
        self,
        side: Side,
        chosen: Mask,
        columns: Sequence[int],
        assumed: Mapping[int, int],
        weights: tuple[Mapping[str, float], Shares],
    ) -> NDArray[np.float64]:
        """Fuse the columns of the chosen renditions: shape (chosen,), nats."""
        llrs = side.llrs[chosen][:, columns].astype(np.float64) / SCALE
        for place, c in enumerate(columns):
            if c in assumed:
                llrs[:, place] = assumed[c] / SCALE
        return mixed(llrs, [self.families[c] for c in columns], [self.claims[c] for c in columns], *weights)


def _starts(source: NDArray[np.int32]) -> NDArray[np.intp]:
    """Where, in a rising list of sources, each begins."""
    starts: NDArray[np.intp] = np.flatnonzero(np.diff(source, prepend=-1))
    return starts


def _spoke(side: Side, columns: Sequence[int]) -> Mask:
    spoke: Mask = (side.llrs[:, list(columns)] != UNSPOKEN).all(axis=1)
    return spoke


def _widening(quality: int) -> Iterator[tuple[int, int]]:
    """Name ranges of JPEG quality that hold `quality`, the narrowest first."""
    yield next(s for s in STRATA if s[0] <= quality <= s[1])
    if quality:
        yield 1, 100
    yield 0, 100


def _plain(llrs: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(np.sort(llrs).tolist())


def read_pool(row: Mapping[str, Any], detectors: Mapping[str, Mapping[str, Any]]) -> Pool:
    """Read a pool as calibration.json holds it: rows of source, quality and one LLR (or null) a detector.

    `detectors` maps each one's name to its "family" and "claims".
    """
    names = tuple(row["detectors"])
    fakes = {Kind(kind): _side(rows, len(names)) for kind, rows in row["fakes"].items()}
    families = tuple(str(detectors[n]["family"]) for n in names)
    claims = tuple(frozenset(map(Kind, detectors[n]["claims"])) for n in names)
    bona_fide = _side(row["bona_fide"], len(names))
    voices = tuple(bona_fide.sources(bona_fide.llrs[:, c] != UNSPOKEN) for c in range(len(names)))
    return Pool(names, families, claims, bona_fide, fakes, voices)


def _side(rows: Sequence[Sequence[int | None]], width: int) -> Side:
    filled = [[UNSPOKEN if v is None else v for v in r] for r in rows]
    table = np.array(filled, np.int32).reshape(len(rows), width + 2)
    order = np.argsort(table[:, 0], kind="stable")
    table = table[order]
    return Side(table[:, 0].copy(), table[:, 1].astype(np.int16), table[:, 2:].astype(np.int16))
