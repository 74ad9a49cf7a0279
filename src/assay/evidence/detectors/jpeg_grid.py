"""Regions that carry the block grid of another JPEG (pasted in, or moved), or none where the rest has one.

Every pixel votes for the grid origin under which its block has the most zero DCT coefficients (the kernel `grid.votes`).
A region is reported when far more of its pixels agree on a foreign origin than chance explains, over all windows and
origins that were searched (a contrario), and when that origin lives in the region and nowhere else; or when its pixels
do not vote for the picture's grid although they would after one more compression (the kernel `holes`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from assay.evidence.detector import Card
from assay.evidence.kernels import grid, holes, regions
from assay.evidence.kernels.significance import log10_tail
from assay.media.quality import estimated_quality
from assay.media.views import Image, upright, upright_box
from assay.types import Finding, Kind, Outcome, Reason, Region

SMALLEST = 64  # pixels on the shorter side: below that no region can be told from the whole
STRONGEST = 300.0  # bound of the score
FOUND = 2.0  # at most one false alarm in 10 ** FOUND pictures, as far as votes are chance
MOST_REGIONS = 6  # of one origin

# Measured on honest chains (crop between two saves, WebP in between) against pasted patches; see docs/detectors/jpeg_grid.md.
DENSE = 0.2  # share of a region's pixels that must vote for its origin
ELSEWHERE = 1.5 / 64  # share of the pixels outside of the regions that may do so: chance is 1 / 64
WHOLE = 0.5  # of the picture: more is not a region but the picture's own past
HALF_SHIFT = (
    20.0  # strength asked of origins 4 pixels off, which 4 x 4 codecs (WebP, H.264) and fine textures imitate
)
KEEPS_HOLES = 98  # quality of a file's own JPEG; below it every block was given a grid
BARE = 0.9  # share of a hole's pixels that could vote for the grid and do not
CLOTHED = 0.25  # the same outside of the holes: more, and the grid has faded everywhere
MOST_HOLES = 3


@dataclass(frozen=True, slots=True)
class Patch:
    """A region that votes for one foreign origin, or for none, in pixels as coded."""

    origin: int | None
    strength: float  # -log10 of the expected number of such regions by chance
    box: tuple[int, int, int, int]  # x, y, width, height
    cells: NDArray[np.uint8]  # the cells of 8 x 8 pixels that belong to it


class JpegGrid:
    card: ClassVar[Card] = Card(
        name="jpeg_grid",
        version=2,
        reads=Image,
        family="jpeg",
        claims=frozenset({Kind.SPLICE, Kind.COPY_MOVE, Kind.INPAINTING}),
        summary="Regions that lie on another JPEG block grid than the rest of the picture, or on none",
        source="https://doi.org/10.5201/ipol.2021.390",
        licence="Apache-2.0",
    )

    def examine(self, view: Image, /) -> Finding:
        height, width = view.coded.shape[:2]
        if min(height, width) < SMALLEST:
            return Finding.not_applicable(
                "too_small", f"A side is under {SMALLEST} pixels: too few blocks for a grid."
            )
        grey = grid.luma(np.ascontiguousarray(view.coded))
        ballots = grid.votes(grey, grid.ZERO_BELOW)
        if int(ballots.min()) == grid.NO_VOTE:
            return Finding.not_applicable(
                "no_texture", "The picture is flat or drawn in stripes: no block can vote."
            )
        own, patches = examined(ballots)
        if own is not None and _may_have_holes(view):
            patches += tuple(
                h for h in bare(view.coded, grey, ballots, own) if not any(_overlap(h, p) for p in patches)
            )
        if own is None and not patches:
            return Finding.not_applicable(
                "grid_none", "No JPEG grid was found: there is none to differ from."
            )
        return Finding(
            Outcome.SCORED,
            score=min(STRONGEST, max((p.strength for p in patches), default=0.0)),
            reasons=_reasons(own, patches),
            regions=tuple(_region(p, view) for p in patches),
            heat=_heat(patches, view.orientation) if patches else None,
        )


def own_origin(cells: NDArray[np.uint8]) -> int | None:
    """The origin that the picture as a whole votes for; None when no origin stands out from chance."""
    counts = cells.sum(axis=(1, 2), dtype=np.int64)
    best = int(counts.argmax())
    # Votes of one block's pixels are not independent: 64 of them count as one, as in ZERO.
    strength = -log10_tail(counts[best] / 64, cells.shape[1] * cells.shape[2], 1 / 64) - math.log10(64)
    return best if strength > FOUND else None


def examined(ballots: NDArray[np.uint8]) -> tuple[int | None, tuple[Patch, ...]]:
    """The picture's own grid origin, and the regions on foreign ones, the strongest first.

    Parameters
    ----------
    ballots : ndarray of uint8, shape (H, W)
        What `grid.votes` returns. Not modified.

    Notes
    -----
    Without a global grid the origin of the strongest region is taken for the picture's own: a photograph of the best
    quality shows its grid in its smooth parts alone. Origin (0, 0) is never foreign: the file itself may have put it
    there. Either choice gives up finds for fewer false alarms.
    """
    cells = grid.tally(ballots)
    own = own_origin(cells)
    found = {
        origin: patches
        for origin in range(64)
        if origin != own
        if (patches := _search(ballots, cells, origin))
    }
    if own is None and found:
        own = max(found, key=lambda origin: found[origin][0].strength)
    found.pop(0 if own is None else own, None)
    found.pop(0, None)
    kept = [
        patch
        for origin, patches in found.items()
        if _confined(cells[origin], patches) and _credible(patches, own or 0, found.keys())
        for patch in patches
        if _density(ballots, patch) >= DENSE
    ]
    return own, tuple(sorted(kept, key=lambda p: -p.strength))


def bare(
    rgb: NDArray[np.uint8], grey: NDArray[np.uint8], ballots: NDArray[np.uint8], own: int
) -> tuple[Patch, ...]:
    """Regions without the picture's own grid, which they would show if they had been compressed with the rest.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (H, W, 3)
        Not modified.
    grey : ndarray of uint8, shape (H, W)
        Its luma. Not modified.
    ballots : ndarray of uint8, shape (H, W)
        What `grid.votes` returns for it. Not modified.
    own : int
        The picture's own origin.
    """
    able = holes.able(rgb, grey, own)
    without = able & (ballots != own)
    misses, trials = holes.counted(without), holes.counted(able)
    marks = without.astype(np.uint8)  # a "ballot" of 1 for the outline
    left, tests = misses.copy(), _tests(*misses.shape)
    found: list[Patch] = []
    while len(found) < MOST_HOLES:
        strength, window = _crowded_of(left, trials)
        if strength - tests <= FOUND:
            break
        patch = _outlined(marks, left, 1, window, strength - tests)
        found.append(Patch(None, patch.strength, patch.box, patch.cells))
        top, start, h, w = window
        left[patch.cells > 0] = 0
        left[top : top + h, start : start + w] = 0
    outside = np.ones(misses.shape, bool)
    for patch in found:
        outside[regions.grown(regions.grown(patch.cells)) > 0] = False
    if not found or misses[outside].sum() > CLOTHED * trials[outside].sum():
        return ()
    if trials[outside].sum() < trials[~outside].sum() / 8:
        return ()  # too little is left to know what the grid of this picture looks like
    return tuple(p for p in found if _bareness(misses, trials, p.cells) >= BARE)


def _bareness(misses: NDArray[np.int32], trials: NDArray[np.int32], cells: NDArray[np.uint8]) -> float:
    """The share of misses among a region's trials, its rim left out where it is thick enough to have an inside."""
    inside = (cells > 0) & (regions.grown((cells == 0).astype(np.uint8)) == 0)
    where = inside if trials[inside].sum() else cells > 0
    return float(misses[where].sum()) / max(1.0, float(trials[where].sum()))


def _crowded_of(
    misses: NDArray[np.int32], trials: NDArray[np.int32]
) -> tuple[float, tuple[int, int, int, int]]:
    """As `_crowded`, where only some pixels are trials: does more than half of them miss beyond chance?"""
    strongest, place, cell = 0.0, (0, 0, 0, 0), 1
    for windows in _levels(*misses.shape):
        hits, tried = regions.summed(misses), regions.summed(trials)
        expected = tried / 2
        for h, w in windows:
            nats, top, left = regions.most_surprising(hits, tried, expected, h, w, 64)
            strength = nats / 64 / math.log(10)  # 64 pixels count as one trial
            if strength > strongest:
                strongest, place = strength, (int(top) * cell, int(left) * cell, h * cell, w * cell)
        misses, trials, cell = regions.halved(misses), regions.halved(trials), cell * 2
    return strongest, place


def _may_have_holes(view: Image) -> bool:
    """A file's own JPEG gives every block its grid, unless it hardly quantises."""
    if not view.planes:
        return True
    return estimated_quality([int(v) for v in view.planes[0].quantisation.ravel()]) >= KEEPS_HOLES


def _overlap(a: Patch, b: Patch) -> bool:
    return bool((a.cells & b.cells).any())


def _search(ballots: NDArray[np.uint8], cells: NDArray[np.uint8], origin: int) -> list[Patch]:
    """Windows in which votes for `origin` crowd beyond chance, one after the other, each outlined."""
    left = cells[origin].astype(np.int32)
    tests = _tests(*left.shape)
    # Where an origin is frequent all over the picture, that frequency is the chance to beat.
    chance = max(1 / 64, float(left.mean()) / 64)
    patches: list[Patch] = []
    while len(patches) < MOST_REGIONS:
        strength, window = _crowded(left, chance)
        if strength - tests <= FOUND:
            break
        patches.append(_outlined(ballots, left, origin, window, strength - tests))
        top, start, h, w = window
        left[patches[-1].cells > 0] = 0
        left[top : top + h, start : start + w] = 0
    return patches


def _levels(rows: int, columns: int) -> Iterator[list[tuple[int, int]]]:
    """The windows to search, in cells of 8, 16, 32 ... pixels, so that a window's steps grow with its size."""
    sides: tuple[int, ...] = (3, 4, 6, 8)
    while windows := regions.shapes(rows, columns, sides):
        yield windows
        rows, columns, sides = rows // 2, columns // 2, (6, 8)


def _tests(rows: int, columns: int) -> float:
    """log10 of how many windows are searched, over all 63 foreign origins."""
    number = 1
    for windows in _levels(rows, columns):
        number += sum((rows - h + 1) * (columns - w + 1) for h, w in windows)
        rows, columns = rows // 2, columns // 2
    return math.log10(63 * number)


def _crowded(counts: NDArray[np.int32], chance: float) -> tuple[float, tuple[int, int, int, int]]:
    """The most surprising window: -log10 of its probability, and (top, left, height, width) in cells of 8 pixels."""
    strongest, place = 0.0, (0, 0, 0, 0)
    cell = 1
    for windows in _levels(*counts.shape):
        table = regions.summed(counts)
        for h, w in windows:
            trials = h * w * cell * cell
            if -log10_tail(min(trials, table[-1, -1] / 64), trials, chance) <= strongest:
                continue  # not even with every vote that there is
            total = int(regions.greatest(table, h, w))
            strength = -log10_tail(total / 64, trials, chance)
            if strength > strongest:
                top, left = regions.place_of(table, h, w, total)
                strongest, place = strength, (top * cell, left * cell, h * cell, w * cell)
        counts, cell = regions.halved(counts), cell * 2
    return strongest, place


def _outlined(
    ballots: NDArray[np.uint8],
    counts: NDArray[np.int32],
    origin: int,
    window: tuple[int, int, int, int],
    strength: float,
) -> Patch:
    """Follow the connected cells that vote for `origin` out of the window, then find the edges in pixels."""
    part = np.s_[window[0] : window[0] + window[2], window[1] : window[1] + window[3]]
    dense = (counts >= 16).astype(np.uint8)  # a quarter of the cell's 64 pixels
    labels = regions.connected(regions.grown(dense))
    weights = np.bincount(labels[part].ravel(), weights=counts[part].ravel())
    weights[0] = 0
    cells = np.zeros_like(dense)
    if weights.max() > 0:
        cells[(labels == weights.argmax()) & (dense > 0)] = 1
    if not cells.any():
        cells[part] = 1
    ys, xs = np.nonzero(cells)
    y, x = int(ys.min()), int(xs.min())
    inside = cells[y : ys.max() + 1, x : xs.max() + 1].repeat(8, axis=0).repeat(8, axis=1)
    mine = (ballots[y * 8 : y * 8 + inside.shape[0], x * 8 : x * 8 + inside.shape[1]] == origin) & (
        inside > 0
    )
    first_x, last_x = _edges(mine.sum(axis=0))
    first_y, last_y = _edges(mine.sum(axis=1))
    box = (x * 8 + first_x, y * 8 + first_y, last_x - first_x + 1, last_y - first_y + 1)
    return Patch(origin, strength, box, cells)


def _edges(profile: NDArray[np.int64]) -> tuple[int, int]:
    """First and last place where a profile reaches a fifth of its crest."""
    (places,) = np.nonzero(profile >= 0.2 * np.percentile(profile, 90))
    return int(places[0]), int(places[-1])


def _density(ballots: NDArray[np.uint8], patch: Patch) -> float:
    x, y, w, h = patch.box
    return float((ballots[y : y + h, x : x + w] == patch.origin).mean())


def _confined(counts: NDArray[np.uint8], patches: Sequence[Patch]) -> bool:
    """Do the votes live in the regions alone? A crop before the last save leaves the old grid all over the picture."""
    outside = np.ones(counts.shape, bool)
    for patch in patches:
        x, y, w, h = patch.box
        outside[y // 8 : (y + h + 7) // 8, x // 8 : (x + w + 7) // 8] = False
    covered = 1 - float(outside.mean())
    for patch in patches:  # the rim of a pasted region still votes for it
        x, y, w, h = patch.box
        outside[max(0, y // 8 - 2) : (y + h + 7) // 8 + 2, max(0, x // 8 - 2) : (x + w + 7) // 8 + 2] = False
    elsewhere = float(counts[outside].mean()) / 64 if outside.any() else 1.0
    return covered <= WHOLE and elsewhere <= ELSEWHERE


def _credible(patches: Sequence[Patch], own: int, origins: Collection[int]) -> bool:
    """Origins 4 pixels off are believed when strong and alone: codecs with 4 x 4 blocks leave several of them."""
    halves = {own ^ 4, own ^ 32, own ^ 36}
    if patches[0].origin not in halves:
        return True
    alone = len(halves & set(origins)) == 1
    return alone and patches[0].strength >= HALF_SHIFT


def _reasons(own: int | None, patches: Sequence[Patch]) -> tuple[Reason, ...]:
    reasons = []
    foreign = [p for p in patches if p.origin is not None]
    if foreign:
        many = "A region lies" if len(foreign) == 1 else f"{len(foreign)} regions lie"
        text = f"{many} on another JPEG grid than the rest: pasted from a JPEG, or moved within the picture."
        reasons.append(Reason("grid_foreign_region", text))
    if len(foreign) < len(patches):
        n = len(patches) - len(foreign)
        many = "A region lacks" if n == 1 else f"{n} regions lack"
        text = f"{many} the JPEG grid that the rest shows: filled in, painted, or pasted from elsewhere."
        reasons.append(Reason("grid_missing_region", text))
    if own:
        text = f"The picture's JPEG grid starts at ({own % 8}, {own // 8}): it was cropped after an earlier compression."
        reasons.append(Reason("grid_shifted_globally", text))
    elif not patches:
        reasons.append(
            Reason("grid_consistent", "One JPEG grid runs through the whole picture, from its corner on.")
        )
    return tuple(reasons)


def _region(patch: Patch, view: Image) -> Region:
    height, width = view.coded.shape[:2]
    x, y, w, h = upright_box(patch.box, (height, width), view.orientation)
    turned = view.upright.shape
    return Region.box(x, y, w, h, width=turned[1], height=turned[0], score=min(STRONGEST, patch.strength))


def _heat(patches: Sequence[Patch], orientation: int) -> NDArray[np.uint8]:
    """The cells of all regions, upright, thinned to at most 512 on a side."""
    cells = np.maximum.reduce([p.cells * np.uint8(255) for p in patches])
    step = -(-max(cells.shape) // 512)
    return np.ascontiguousarray(upright(cells[::step, ::step], orientation))
