"""Regions in which the camera's colour filter left another pattern than in the rest, or none.

A camera measures green at every other pixel, like the white squares of a chessboard, and interpolates the others. So green
deviates from its neighbours more on one colour of the board than on the other. Every cell of 8 x 8 pixels votes for the
colour that was measured; where a picture as a whole is of one opinion, windows that are of the other one, or of none, were
put there afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.detectors import _crowds
from assay.evidence.kernels import mosaic
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome, Reason

SMALLEST = 192  # pixels on the shorter side
FEWEST = 200  # cells that must be able to vote
FAINT = 64 * 3  # sum of residuals (grey levels x 4) below which a cell does not vote: rounding alone
AGREED = 0.62  # share of the votes for the picture's own pattern; below it there is none worth the name
BINS = 8  # of residual strength, each with its own share of wrong votes
FOUND = 3.0  # one false alarm in 10 ** FOUND pictures, as far as votes are chance
DOUBT = 1 / 3  # of the way from the usual share of wrong votes to a coin's: what an honest part may err
MOST_REGIONS = 3
WHOLE = 0.4  # share of the picture's cells: more is not a region


@dataclass(frozen=True, slots=True)
class Ballot:
    """What the cells voted."""

    against: NDArray[np.int32]  # (R, C), 1 where a cell votes against the picture's pattern
    able: NDArray[np.int32]  # (R, C), 1 where it votes at all
    wrong: NDArray[
        np.float64
    ]  # (R, C), the share of such votes among cells of like strength; 0 where it does not vote
    share: float  # of all votes, for the picture's pattern


@dataclass(frozen=True, slots=True)
class Patch:
    """A region that disagrees."""

    foreign: bool  # it has a pattern of its own; else it has none
    strength: float
    cells: NDArray[np.bool_]  # (R, C)


class Demosaicing:
    card: ClassVar[Card] = Card(
        name="demosaicing",
        version=1,
        reads=Image,
        family="cfa",
        claims=frozenset({Kind.SPLICE, Kind.COPY_MOVE, Kind.INPAINTING}),
        summary="Regions whose pixels do not follow the colour filter pattern of the rest of the picture",
        source="https://doi.org/10.1109/TIFS.2012.2202227",
        licence="Apache-2.0",
    )

    def examine(self, view: Image, /) -> Finding:
        height, width = view.coded.shape[:2]
        if min(height, width) < SMALLEST:
            return Finding.not_applicable(
                "too_small", f"A side is under {SMALLEST} pixels: too few cells for a pattern."
            )
        ballot = counted(mosaic.lattices(np.ascontiguousarray(view.coded)))
        if ballot is None:
            return Finding.not_applicable(
                "no_texture", "The picture is too smooth or clipped to show a pattern."
            )
        if ballot.share < AGREED:
            return Finding.not_applicable(
                "cfa_none",
                "No colour filter pattern was found: the picture was shrunk, strongly compressed, or never was in a camera.",
            )
        score, patches = examined(ballot)
        return Finding(
            Outcome.SCORED,
            score=score,
            reasons=_reasons(patches, ballot.share),
            regions=tuple(_crowds.region(p.cells, mosaic.CELL, view, p.strength) for p in patches),
            heat=_heat(patches, view.orientation) if patches else None,
        )


def counted(sums: NDArray[np.int32]) -> Ballot | None:
    """Let every cell vote for the lattice with the greater residuals; None when too few can."""
    even, odd = sums
    total = even + odd
    able = (total > FAINT) & (even != odd)
    number = int(able.sum())
    if number < FEWEST:
        return None
    for_even = int((able & (even > odd)).sum())
    against = able & ((even < odd) if 2 * for_even >= number else (even > odd))
    limits = np.quantile(total[able], np.linspace(0, 1, BINS + 1)[1:-1])
    bins = np.searchsorted(limits, total)
    cast = np.maximum(1, np.bincount(bins[able], minlength=BINS))
    wrong = np.bincount(bins[against], minlength=BINS) / cast
    return Ballot(
        against.astype(np.int32),
        able.astype(np.int32),
        np.where(able, np.minimum(0.5, wrong)[bins], 0.0),
        max(for_even, number - for_even) / number,
    )


def examined(ballot: Ballot) -> tuple[float, tuple[Patch, ...]]:
    """The score, and the regions that disagree, the strongest first.

    Two questions are asked of each window. Is it of the other opinion (more than half vote against, beyond chance)? Or
    is it of none: do more cells vote against than a third of the way from what is usual for such residuals in this
    picture to a coin? A third, since smooth and dark parts err more often than the picture's mean.
    """
    able = ballot.able
    coin: NDArray[np.float64] = able * np.float64(0.5)
    doubtful = ballot.wrong + DOUBT * (coin - ballot.wrong)
    against, left = ballot.against.copy(), able.copy()
    patches: list[Patch] = []
    score = -np.inf
    while len(patches) < MOST_REGIONS:
        odd = _crowds.strongest(against, left, np.where(left > 0, coin, 0.0))
        none = _crowds.strongest(against, left, np.where(left > 0, doubtful, 0.0))
        foreign = odd.strength > FOUND
        best = odd if foreign else none
        score = max(score, odd.strength, none.strength)
        if best.strength <= FOUND:
            break
        cells = _outlined(ballot, best.window)
        if not _confined(ballot, cells):
            score = min(score, FOUND)
            break
        patches.append(Patch(foreign, best.strength, cells))
        top, start, h, w = best.window
        for array in (against, left):
            array[cells] = 0
            array[top : top + h, start : start + w] = 0
    return float(score), tuple(patches)


def _outlined(ballot: Ballot, window: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Follow the cells around which more disagree than halfway between the usual and the window's own share."""
    top, left, h, w = window
    part = np.s_[top : top + h, left : left + w]
    inside = ballot.against[part].sum() / max(1, ballot.able[part].sum())
    kernel = (5, 5)
    votes = cv2.boxFilter(ballot.able.astype(np.float32), -1, kernel, normalize=False)
    misses = cv2.boxFilter(ballot.against.astype(np.float32), -1, kernel, normalize=False)
    limit = (inside + 1 - ballot.share) / 2
    return _crowds.touched((misses > limit * votes) & (votes >= 5), window)


def _confined(ballot: Ballot, cells: NDArray[np.bool_]) -> bool:
    """Is it a region, and does the rest of the picture keep the pattern?"""
    rest = ~cells
    voting = ballot.able[rest].sum()
    return bool(cells.mean() <= WHOLE and ballot.against[rest].sum() <= (1 - AGREED) * voting)


def _reasons(patches: tuple[Patch, ...], share: float) -> tuple[Reason, ...]:
    reasons = []
    if any(p.foreign for p in patches):
        text = "A region follows the colour filter pattern at another place than the rest: pasted, or moved within the picture."
        reasons.append(Reason("cfa_foreign_region", text))
    if any(not p.foreign for p in patches):
        text = "A region lacks the colour filter pattern that the rest shows: filled in, painted, or pasted from elsewhere."
        reasons.append(Reason("cfa_missing_region", text))
    if not reasons:
        text = f"One colour filter pattern runs through the picture ({share:.0%} of its cells agree)."
        reasons.append(Reason("cfa_consistent", text))
    return tuple(reasons)


def _heat(patches: tuple[Patch, ...], orientation: int) -> NDArray[np.uint8]:
    every = np.logical_or.reduce([p.cells for p in patches])
    return _crowds.heat(every.astype(np.float64), orientation)
