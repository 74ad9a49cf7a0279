"""Regions of a re-saved JPEG in which the ghost of its first quality is missing.

A JPEG that is saved again keeps, in every DCT frequency, a comb whose teeth are the first quality's steps. The first
quality is searched for (all of libjpeg's, and steps of each frequency's own), and each block says whether it carries the
ghost of that quality or was compressed by the last save alone: a part of another picture lies on another grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.detectors import _outlines
from assay.evidence.detectors._luma import unread
from assay.evidence.kernels import doubles, ghosts, grid
from assay.media.quality import scaled
from assay.media.views import Image, JpegPlane
from assay.types import Finding, Kind, Outcome, Reason

SMALLEST = 12  # blocks on the shorter side
MOST_BLOCKS = 40_000  # 2.5 MP: of larger pictures the middle is examined
STRONGEST = 300.0  # bound of the score
FOUND = 50.0  # nats: see docs/detectors/jpeg_ghost.md
SEEN = 30.0  # nats by which a ghost must explain the picture better than one save
BOUND = 4.0  # nats of one block
MISFIT = 0.1  # nats a block that a law which fits badly can feign over thousands of smooth blocks ...
EDGE = 1  # blocks at the picture's own border that are not looked at: cameras and editors leave lines there
FEIGNED = 50.0  # ... so that blocks which say no more than that count half, and this much of them at most
WHOLE = 0.5  # of the picture: what covers more is not a region
QUALITIES = range(50, 100)
FINALISTS = 4  # first qualities that are tried block by block
OWN = 15.0  # nats that a frequency must gain to have a step of its own
FREE = 10.0  # nats that such a step costs
CARRIED = 0.2  # nats that each usable block must say on average for steps of their own: repeated shapes can feign less
OUTSIDE = 0.75  # share of blocks that are expected to have the ghost, before looking
GAINS = (0.5, 0.7, 1.0, 1.4, 2.0)
FULL = 0.97  # saturation, 1: a channel is clipped. Where the most saturated blocks reach it, clipped ones are seen as such
FADED = 0.2  # of the most saturated blocks: below it nothing tells where colours had been clipped
MOST_SATURATED = 0.98  # quantile of blocks that stands for the picture's own limit
NEAR = 0.85  # of that limit: what lies over it may have been clipped before the picture was faded


@dataclass(frozen=True, slots=True)
class Blocks:
    """Coefficients of a window of a JPEG's luma, F frequencies of R x C blocks."""

    magnitudes: NDArray[np.int64]  # (R, C, F)
    strata: NDArray[np.int64]  # (R, C, F): class of the local scale
    usable: NDArray[np.bool_]  # (R, C, F): not zero, not too great, the block not clipped
    steps: tuple[int, ...]  # F, of the last save
    top: int  # of the window, in blocks
    left: int
    limit: float  # saturation that its most saturated blocks reach


@dataclass(frozen=True, slots=True)
class Ghost:
    """The first save that explains the picture best."""

    quality: int  # libjpeg's; 0: a table of another maker
    evidence: float  # nats, of the mixture over one save everywhere
    ratio: NDArray[np.float64]  # (R, C): one save against two, nats a block


class JpegGhost:
    card: ClassVar[Card] = Card(
        name="jpeg_ghost",
        version=5,
        reads=Image,
        family="jpeg",
        claims=frozenset({Kind.SPLICE, Kind.INPAINTING, Kind.COPY_MOVE}),
        summary="Regions of a re-saved JPEG that lack the ghost of its first quality",
        source="https://doi.org/10.1109/TIFS.2008.2012215",
        licence="Apache-2.0",
    )

    def examine(self, view: Image, /) -> Finding:
        if (refused := unread(view, SMALLEST)) is not None:
            return refused
        plane = view.planes[0]
        rows, columns = plane.coefficients.shape[:2]
        if abs(rows * 8 - view.coded.shape[0]) > 16 or abs(columns * 8 - view.coded.shape[1]) > 16:
            return Finding.not_applicable("unusual_sampling", "Coefficients and pixels differ in size.")
        blocks = window_of(plane, view.coded)
        if blocks.limit < FADED:
            text = "Hardly any colour: where colours had been clipped looks like a part that lacks an earlier save's ghost."
            return Finding.not_applicable("no_colour", text)
        if not blocks.usable.any():
            return Finding.not_applicable(
                "no_texture", "The picture is flat or clipped: nothing to judge by."
            )
        return _finding(found_ghost(blocks), blocks, (rows, columns), view)


def window_of(plane: JpegPlane, coded: NDArray[np.uint8]) -> Blocks:
    """The blocks to examine: all, or those in the middle of a large picture."""
    rows, columns = plane.coefficients.shape[:2]
    share = min(1.0, (MOST_BLOCKS / (rows * columns)) ** 0.5)
    high, wide = max(SMALLEST, int(rows * share)), max(SMALLEST, int(columns * share))
    top, left = (rows - high) // 2, (columns - wide) // 2
    pixels = np.ascontiguousarray(coded[top * 8 : (top + high) * 8, left * 8 : (left + wide) * 8])
    v, u = ghosts.FREQUENCIES.T
    magnitudes = np.abs(plane.coefficients[top : top + high, left : left + wide, v, u].astype(np.int64))
    clipped = doubles.clipped(pixels, high, wide) > 0
    saturated = ghosts.saturation(pixels, high, wide)
    limit = float(np.quantile(saturated, MOST_SATURATED))
    clipped |= saturated > (NEAR * limit if limit < FULL else 1.0)
    usable = (magnitudes > 0) & (magnitudes <= ghosts.MOST) & ~clipped[..., None]
    strata = ghosts.classes(grid.luma(pixels), high, wide)
    return Blocks(
        magnitudes, strata, usable, tuple(int(q) for q in plane.quantisation[v, u]), top, left, limit
    )


def found_ghost(blocks: Blocks) -> Ghost:
    """Try first qualities on the histograms, and the best of them block by block."""
    counts, scales, gained = [], [], []
    for f, step in enumerate(blocks.steps):
        kept = blocks.usable[..., f]
        seen = ghosts.tally(blocks.magnitudes[..., f][kept], blocks.strata[..., f][kept])
        scale = _scale(seen, step)
        counts.append(seen)
        scales.append(scale)
        gained.append(_gains(seen, step, scale))
    table = np.array(gained)  # (F, COARSEST): nats by first step
    own = np.where(table.max(axis=1) > OWN, table.argmax(axis=1) + 1, 0)
    totals = {q: float(sum(table[f, s - 1] for f, s in enumerate(_steps(q)) if s)) for q in QUALITIES}
    finalists = sorted(totals, key=lambda q: totals[q])[-FINALISTS:]
    named = (_ghost(blocks, counts, scales, q, _steps(q)) for q in finalists)
    best = max(named, key=lambda g: g.evidence)
    free = _ghost(blocks, counts, scales, 0, tuple(int(s) for s in own))
    carried = free.evidence > CARRIED * np.count_nonzero(blocks.usable.any(axis=-1))
    return free if carried and free.evidence > best.evidence else best


def _scale(seen: NDArray[np.int64], step: int) -> float:
    """The gain with which one save explains the counts best."""
    return max(GAINS, key=lambda gain: float((seen * np.log(ghosts.once(step, gain) + 1e-9)).sum()))


def _gains(seen: NDArray[np.int64], step: int, scale: float) -> NDArray[np.float64]:
    """How much better two saves explain the counts than one, in nats, for each first step from 1."""
    single = np.log(ghosts.once(step, scale) + 1e-9)
    return np.array(
        [
            0.0
            if first == step
            else float((seen * (np.log(ghosts.twice(first, step, scale)) - single)).sum())
            for first in range(1, ghosts.COARSEST + 1)
        ]
    )


@cache
def _steps(quality: int) -> tuple[int, ...]:
    """Luma's steps at a quality, for each frequency that is looked at; 0 for one that is too coarse to model."""
    table = np.array(scaled(quality)).reshape(8, 8)
    return tuple(int(q) if q <= ghosts.COARSEST else 0 for q in table[tuple(ghosts.FREQUENCIES.T)])


def _ghost(
    blocks: Blocks, counts: list[NDArray[np.int64]], scales: list[float], quality: int, steps: tuple[int, ...]
) -> Ghost:
    """The map of one first save."""
    ratio = np.zeros(blocks.usable.shape[:2])
    for f, (first, step) in enumerate(zip(steps, blocks.steps, strict=True)):
        if first in {0, step}:
            continue
        table, _ = ghosts.ratios(counts[f], first, step, scales[f])
        index = np.clip(blocks.magnitudes[..., f] - 1, 0, ghosts.MOST - 1)
        ratio += np.where(blocks.usable[..., f], table[blocks.strata[..., f], index], 0.0)
    evidence = float(np.logaddexp(np.log(OUTSIDE) - ratio, np.log(1 - OUTSIDE)).sum())
    return Ghost(quality, evidence - (0.0 if quality else FREE * np.count_nonzero(steps)), ratio)


def _without_border(
    ratio: NDArray[np.float64], blocks: Blocks, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """The map with nothing said of blocks at the border of the picture; a window's own border stays."""
    picture = np.zeros(shape)
    inside = np.s_[blocks.top : blocks.top + ratio.shape[0], blocks.left : blocks.left + ratio.shape[1]]
    picture[EDGE:-EDGE, EDGE:-EDGE] = 1.0
    kept: NDArray[np.float64] = ratio * picture[inside]
    return kept


def _strength(part: _outlines.Part | None) -> float:
    """Nats of a part of the map; 0 where there is none, or where it is most of the picture."""
    return part.strength if part and part.cells.mean() <= WHOLE else 0.0


def _finding(ghost: Ghost, blocks: Blocks, shape: tuple[int, int], view: Image) -> Finding:
    inner = _without_border(ghost.ratio, blocks, shape)
    ratio = np.where(inner != 0, inner - MISFIT, 0.0)
    part = _outlines.strongest(ratio, BOUND)
    weak = min(FEIGNED, _strength(_outlines.strongest(inner, BOUND)))
    strength = min(STRONGEST, _strength(part) + weak / 2)
    named = f"quality {ghost.quality}" if ghost.quality else "another maker's table"
    if part is None or strength < FOUND:
        if ghost.evidence > SEEN:
            reason = Reason("ghost_consistent", f"No region lacks what an earlier save ({named}) left.")
        else:
            reason = Reason(
                "ghost_none", "No trace of an earlier save on the same grid that a region could lack."
            )
        return Finding(Outcome.SCORED, score=strength, reasons=(reason,))
    cells, heat = np.zeros(shape, bool), np.zeros(shape)
    inside = np.s_[blocks.top : blocks.top + ratio.shape[0], blocks.left : blocks.left + ratio.shape[1]]
    cells[inside], heat[inside] = part.cells, ratio
    text = f"A region lacks the ghost of an earlier save ({named}) that the rest of the picture carries."
    return Finding(
        Outcome.SCORED,
        score=strength,
        reasons=(Reason("ghost_missing_region", text),),
        regions=_outlines.regions_of(cells, view, 8, strength),
        heat=_outlines.heat_of(heat, view.orientation, BOUND / 2),
    )
