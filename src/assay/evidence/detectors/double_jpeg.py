"""Regions of a JPEG that were compressed once where the rest was compressed twice: edited between two saves.

An earlier quantisation leaves a comb in the histogram of each DCT frequency. The comb that the picture has is compared
with the smooth histogram that it would have without one; each block then votes for the comb or against it. The comb as
such says only that the picture was saved twice, which is nothing; a region without it is a find.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.detectors._luma import unread
from assay.evidence.kernels import doubles, grid, regions
from assay.media.views import Image, JpegPlane, upright, upright_box
from assay.types import Finding, Kind, Outcome, Reason, Region

SMALLEST = 12  # blocks on the shorter side
STRONGEST = 300.0  # bound of the score
FOUND = 2.0  # at most one false alarm in 10 ** FOUND pictures, as far as votes are chance
MOST_REGIONS = 6
# The first 20 frequencies in zigzag order after the mean: (vertical, horizontal).
FREQUENCIES = np.array(
    [
        (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0), (4, 0),
        (3, 1), (2, 2), (1, 3), (0, 4), (0, 5), (1, 4), (2, 3), (3, 2), (4, 1), (5, 0),
    ],
    np.int64,
)  # fmt: skip

COMB = 0.15  # nats between the histogram and its smooth counterpart: one save leaves 0.01 to 0.1, two 0.35 to 1.5
LEAST_COUNT = 200  # coefficients that are not zero, of one frequency
LEAST_COMBS = 3  # frequencies with a comb, to call a picture compressed twice
DECISIVE = 3.0  # nats of log-likelihood ratio from which on a block votes
LEAST_TERMS = 3  # coefficients that a block must have to judge by
STRATA = (3, 5, 8, 12, 21)  # of those: blocks that have few of them err more often
LEAST_CHANCE = 0.02  # share of honest blocks that vote against the comb, at least
FEWEST = 9  # votes in a window
DENSE = 0.5  # share of a region's votes that must be against the comb
ELSEWHERE = 0.15  # share of the other votes that may be
WHOLE = 0.5  # of the votes: what covers more is not a region


@dataclass(frozen=True, slots=True)
class Combs:
    """What an earlier quantisation left in the picture's histograms."""

    frequencies: NDArray[np.int64]  # (F, 2) those with a comb
    tables: NDArray[np.float32]  # (F, BINS) log-likelihood ratio of no comb against the comb, by magnitude
    depth: float  # nats, mean over F


@dataclass(frozen=True, slots=True)
class Patch:
    strength: float  # -log10 of the expected number of such regions by chance
    cells: NDArray[np.uint8]  # its blocks
    box: tuple[int, int, int, int]  # x, y, width, height in blocks


class DoubleJpeg:
    card: ClassVar[Card] = Card(
        name="double_jpeg",
        version=1,
        reads=Image,
        family="jpeg",
        claims=frozenset({Kind.SPLICE, Kind.INPAINTING, Kind.COPY_MOVE}),
        summary="Regions that were compressed once where the rest of the JPEG was compressed twice",
        source="https://doi.org/10.1016/j.patcog.2009.03.019",
        licence="Apache-2.0",
    )

    def examine(self, view: Image, /) -> Finding:
        if (refused := unread(view, SMALLEST)) is not None:
            return refused
        plane = view.planes[0]
        coded = np.ascontiguousarray(view.coded)
        excluded = doubles.clipped(coded, *plane.coefficients.shape[:2])
        combs = found_combs(plane, coded, excluded)
        if combs is None:
            text = "No deep comb in its coefficients: compressed once, more strongly the last time, or nearly alike."
            return Finding(Outcome.SCORED, score=0.0, reasons=(Reason("compressed_once", text),))
        patches = without_comb(plane, excluded, combs)
        return Finding(
            Outcome.SCORED,
            score=min(STRONGEST, max((p.strength for p in patches), default=0.0)),
            reasons=_reasons(patches),
            regions=tuple(_region(p, view) for p in patches),
            heat=_heat(patches, view.orientation) if patches else None,
        )


def found_combs(plane: JpegPlane, coded: NDArray[np.uint8], excluded: NDArray[np.uint8]) -> Combs | None:
    """Compare each frequency's histogram with its smooth counterpart; None where too few frequencies show a comb.

    Parameters
    ----------
    plane : JpegPlane
        Luma.
    coded : ndarray of uint8, shape (H, W, 3)
        The decoded picture. Not modified.
    excluded : ndarray of uint8, shape (R, C)
        Blocks that do not count.

    Notes
    -----
    The picture's own histogram is the null hypothesis, whatever number of saves it went through: nothing is assumed
    about the first quantisation. The counterpart comes from blocks cut 4 pixels off the grid, after Fridrich, Goljan
    and Hogea (2002); Lin, He, Tang and Tang (2009) read local posteriors from such combs.
    """
    steps = plane.quantisation[FREQUENCIES[:, 0], FREQUENCIES[:, 1]].astype(np.float32)
    coefficients = np.ascontiguousarray(plane.coefficients)
    observed = doubles.coded_histograms(coefficients, excluded, FREQUENCIES)
    shifted = doubles.shifted_histograms(grid.luma(coded), excluded, FREQUENCIES, steps, doubles.BASIS)
    chosen, tables, depths = [], [], []
    for index in range(len(FREQUENCIES)):
        table, depth = _ratio(observed[index].astype(np.float64), shifted[index].astype(np.float64))
        if depth >= COMB:
            chosen.append(index)
            tables.append(table)
            depths.append(depth)
    if len(chosen) < LEAST_COMBS:
        return None
    return Combs(FREQUENCIES[chosen], np.array(tables, np.float32), float(np.mean(depths)))


def _ratio(observed: NDArray[np.float64], shifted: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """log(smooth / observed) by magnitude, 0 at zero and where nothing is known, and the divergence in nats."""
    (reached,) = np.nonzero(shifted >= 5)
    last = int(reached[-1]) if len(reached) else 0
    table = np.zeros(doubles.BINS)
    if last < 4 or observed[1 : last + 1].sum() < LEAST_COUNT:
        return table, 0.0
    seen = observed[1 : last + 1] + 0.5
    padded = np.append(shifted, shifted[-1]) + 0.5
    smooth = _enveloped(seen, padded[:last] / 4 + padded[1 : last + 1] / 2 + padded[2 : last + 2] / 4)
    # Below half of the comb's first tooth a flat place, whatever its past, shows rounding noise and nothing else.
    teeth = np.nonzero(seen / seen.sum() >= smooth / smooth.sum())[0]
    first = (int(teeth[0]) + 1) // 2 if len(teeth) else 0
    seen, smooth = seen[first:], smooth[first:]
    if len(seen) < 3 or seen.sum() < LEAST_COUNT:
        return table, 0.0
    p, q = seen / seen.sum(), smooth / smooth.sum()
    table[first + 1 : last + 1] = np.log(q / p)
    depth = float((p * np.log(p / q)).sum())
    return table, depth if depth < 3 else 0.0  # more is no comb: the fit failed


def _enveloped(seen: NDArray[np.float64], shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bend `shape` slowly towards `seen` (Poisson regression on three slow terms): its comb cannot be followed."""
    k = np.arange(1, len(seen) + 1)
    terms = np.stack([np.ones(len(k)), np.log(k), k / len(k)], axis=1)
    weights = np.array([np.log(seen.sum() / shape.sum()), 0.0, 0.0])
    ridge = np.diag([1e-3, 1.0, 1.0])
    for _ in range(12):
        expected = shape * np.exp(np.clip(terms @ weights, -30, 30))
        slope = terms.T @ (seen - expected) - ridge @ weights
        weights = weights + np.clip(np.linalg.solve((terms.T * expected) @ terms + ridge, slope), -1, 1)
    bent: NDArray[np.float64] = shape * np.exp(np.clip(terms @ weights, -30, 30))
    return bent


def without_comb(plane: JpegPlane, excluded: NDArray[np.uint8], combs: Combs) -> tuple[Patch, ...]:
    """Regions whose blocks vote against the comb that the rest of the picture shows, the strongest first."""
    coefficients = np.ascontiguousarray(plane.coefficients)
    sums, terms = doubles.block_sums(coefficients, excluded, combs.frequencies, combs.tables)
    votes = ((np.abs(sums) > DECISIVE) & (terms >= LEAST_TERMS)).astype(np.int32)
    against = votes * (sums > 0)
    if votes.sum() < 4 * FEWEST or against.sum() >= WHOLE * votes.sum():
        return ()
    rest = (against.copy(), votes.copy(), _chances(against, votes, terms))
    patches: list[Patch] = []
    while len(patches) < MOST_REGIONS:
        strength, window = _strongest(*rest)
        if strength <= FOUND:
            break
        patch = _outlined(against, votes, window, strength)
        top, left, h, w = window
        for table in rest:
            table[patch.cells > 0] = 0
            table[top : top + h, left : left + w] = 0
        patches.append(patch)
    return _credible(patches, against, votes)


def _chances(
    against: NDArray[np.int32], votes: NDArray[np.int32], terms: NDArray[np.float32]
) -> NDArray[np.float64]:
    """How often blocks with as many coefficients to judge by vote against the comb, all over the picture."""
    chances = np.zeros(votes.shape)
    for fewest, most in itertools.pairwise(STRATA):
        stratum = (votes > 0) & (terms >= fewest) & (terms < most)
        number = int(stratum.sum())
        chances[stratum] = max(LEAST_CHANCE, (int(against[stratum].sum()) + 1) / (number + 1))
    return chances


def _strongest(
    against: NDArray[np.int32], votes: NDArray[np.int32], chances: NDArray[np.float64]
) -> tuple[float, tuple[int, int, int, int]]:
    """-log10 of the expected number of false alarms of the most surprising window (top, left, height, width)."""
    best, place, tested, cell = 0.0, (0, 0, 0, 0), 1, 1
    sides: tuple[int, ...] = (3, 4, 6, 8)
    while windows := regions.shapes(against.shape[0], against.shape[1], sides):
        hits, trials = regions.summed(against), regions.summed(votes)
        expected = np.pad(chances.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        for h, w in windows:
            tested += (against.shape[0] - h + 1) * (against.shape[1] - w + 1)
            nats, top, left = regions.most_surprising(hits, trials, expected, h, w, FEWEST)
            if nats > best:
                best, place = nats, (int(top) * cell, int(left) * cell, h * cell, w * cell)
        against, votes, chances = regions.halved(against), regions.halved(votes), regions.halved(chances)
        cell, sides = cell * 2, (6, 8)
    return float(best / np.log(10) - np.log10(tested)), place


def _outlined(
    against: NDArray[np.int32], votes: NDArray[np.int32], window: tuple[int, int, int, int], strength: float
) -> Patch:
    """Follow blocks that vote against the comb, or lie among such, out of the window."""
    near = _around(votes)
    dense = ((near >= 2) & (_around(against) >= DENSE * near)).astype(np.uint8)
    part = np.s_[window[0] : window[0] + window[2], window[1] : window[1] + window[3]]
    labels = regions.connected(regions.grown(dense))
    sizes = np.bincount(labels[part].ravel(), weights=against[part].ravel())
    sizes[0] = 0
    cells = np.zeros_like(dense)
    if sizes.max() > 0:
        cells[(labels == sizes.argmax()) & (dense > 0)] = 1
    if not cells.any():
        cells[part] = 1
    core = (cells > 0) & (against > 0)  # without the rim, which smoothing adds
    ys, xs = np.nonzero(core if core.any() else cells)
    box = (int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
    return Patch(strength, cells, box)


def _around(counts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sum over each cell and its 8 neighbours."""
    padded = np.pad(counts, 1)
    rows, columns = counts.shape
    total = np.zeros_like(counts)
    for y in range(3):
        for x in range(3):
            total += padded[y : y + rows, x : x + columns]
    return total


def _credible(
    patches: Sequence[Patch], against: NDArray[np.int32], votes: NDArray[np.int32]
) -> tuple[Patch, ...]:
    """Keep regions that stand out of a rest which agrees on the comb."""
    if not patches:
        return ()
    inside = np.maximum.reduce([p.cells for p in patches]) > 0
    rim = regions.grown(inside.astype(np.uint8)) > 0
    total, outside = int(votes.sum()), int(votes[~rim].sum())
    if votes[inside].sum() > WHOLE * total or against[~rim].sum() > ELSEWHERE * max(outside, 1):
        return ()
    kept = [p for p in patches if against[p.cells > 0].sum() >= DENSE * max(1, int(votes[p.cells > 0].sum()))]
    return tuple(sorted(kept, key=lambda p: -p.strength))


def _reasons(patches: Sequence[Patch]) -> tuple[Reason, ...]:
    twice = Reason(
        "recompressed", "The whole picture was compressed twice on the same grid, as every re-saved JPEG is."
    )
    if not patches:
        return (twice,)
    many = "A region was" if len(patches) == 1 else f"{len(patches)} regions were"
    text = f"{many} compressed once where the rest was compressed twice: changed between two saves."
    return (Reason("local_inconsistency", text),)


def _region(patch: Patch, view: Image) -> Region:
    height, width = view.coded.shape[:2]
    x, y, w, h = (8 * n for n in patch.box)
    box = (x, y, min(w, width - x), min(h, height - y))
    turned = view.upright.shape
    score = min(STRONGEST, patch.strength)
    return Region.box(
        *upright_box(box, (height, width), view.orientation), width=turned[1], height=turned[0], score=score
    )


def _heat(patches: Sequence[Patch], orientation: int) -> NDArray[np.uint8]:
    """The blocks of all regions, upright, thinned to at most 512 on a side."""
    cells = np.maximum.reduce([p.cells * np.uint8(255) for p in patches])
    step = -(-max(cells.shape) // 512)
    return np.ascontiguousarray(upright(cells[::step, ::step], orientation))
