"""From a distance between fingerprints to a likelihood ratio: how much likelier it is for a copy than for another picture.

The table in ``likelihood.json`` was measured by ``tools/signature_ratios.py``, which says on what. Two laws:

- *copies*: distances of a picture to its re-encodings, as shares of pairs by bins of `BIN` bits;
- *others*: the least distance over the eight orientations between pictures that have nothing to do with each other.

Among the measured pairs of others none comes near the radius of a search, so their law there is an extrapolation. It is a
cautious one: below its lowest hundredth the law falls by the same factor a bit as it does there, though distances fall
faster than that (they gather like sums of many bits). And a measured ratio is never stronger than its count of pairs can
carry: n pairs without one so near bound the rate by 3 / n (the rule of three, 95 %).

A ratio says "a copy of this picture, or of one that differs from it little". A splice lies as near to its original as a
copy does: `difference` tells them apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

BIN = 4  # bits
RADIUS = 31


@dataclass(frozen=True, slots=True)
class Table:
    """Measured distances."""

    copies: tuple[
        int, ...
    ]  # pairs of a picture and its copy by bins of `BIN` bits; the last bin: 32 and more
    others: int  # pairs of unrelated pictures
    pictures: int  # that the pairs were made of
    nearest: int  # least distance among the unrelated pairs
    hundredth: float  # distance below which a hundredth of them lies
    slope: float  # nats a bit by which their cumulated law falls there

    def __post_init__(self) -> None:
        if len(self.copies) != RADIUS // BIN + 2 or min(self.copies) < 0 or not sum(self.copies):
            raise ValueError("a table has a count of copies for each bin, and some copies")
        if self.others < 100 or not self.slope > 0:
            raise ValueError("a table has a hundred pairs of others at least, and a law that falls")


@cache
def measured() -> Table:
    """The table that ships with Assay."""
    value = json.loads(files("assay.signatures").joinpath("likelihood.json").read_text("utf-8"))
    return Table(
        copies=tuple(value["copies"]), others=value["others"], pictures=value["pictures"],
        nearest=value["nearest"], hundredth=value["hundredth"], slope=value["slope"],
    )  # fmt: skip


def llr(distance: float, *, searched: int = 1, table: Table | None = None) -> float:
    """Log-likelihood ratio of "a copy of what matched" against "another picture", in nats.

    Parameters
    ----------
    distance : float
        Bits between the two fingerprints, 0 to 31; of a video, the median over its agreeing frames.
    searched : int
        How many known codes were compared: among ten million, another picture has ten million chances to come near.
    table : Table, optional
        The measured one by default.

    Returns
    -------
    llr : float
        Never rises with the distance, nor with what was searched; may be negative. Less than `strongest`.

    Raises
    ------
    ValueError
        If the distance is outside of 0 to 31, or nothing was searched.
    """
    if not 0 <= distance <= RADIUS or searched < 1:
        raise ValueError(f"a match lies 0 to {RADIUS} bits away, among 1 code or more")
    known = table or measured()
    at = int(distance) // BIN
    by_chance = max(_others_within((at + 1) * BIN, known) * searched, 3 / known.others)
    return math.log(_copies_in(at, known)) - math.log(min(1.0, by_chance))


def strongest(table: Table | None = None) -> float:
    """The greatest ratio that the counts can carry, in nats."""
    return math.log((table or measured()).others / 3)


def clip_llr(distances: Sequence[float], *, searched: int = 1, table: Table | None = None) -> float:
    """The ratio of a clip whose frames agree: that of their median distance, since frames of one clip are no
    independent witnesses."""
    ordered = sorted(distances)
    return llr(ordered[len(ordered) // 2], searched=searched, table=table)


def _others_within(distance: float, table: Table) -> float:
    """Share of unrelated pairs nearer than `distance`, extrapolated below their lowest hundredth."""
    return 0.01 * math.exp(-table.slope * max(0.0, table.hundredth - distance))


def _copies_in(at: int, table: Table) -> float:
    """Share of copies in a bin, but no more than in any nearer one: a ratio must not rise with the distance.

    Each bin counts a half more than was seen, so that an empty one is rare and not impossible.
    """
    total = sum(table.copies) + 0.5 * len(table.copies)
    return min(count + 0.5 for count in table.copies[: at + 1]) / total
