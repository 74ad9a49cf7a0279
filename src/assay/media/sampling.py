"""Which frames of a video are looked at: key frames first, further ones where they are few.

Key frames cost little, since each is decoded alone: one is taken every two seconds, and at least sixteen a clip. Where a
clip has fewer, frames in between are decoded too, from the beginning of each group, as far as a budget goes: a frame
deep in a long group needs all before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 16  # frames a clip
SPACING_S = 2.0
SHARE = 0.12  # of all packets may be decoded for frames between key frames
FLOOR = 64  # but so many packets always


@dataclass(frozen=True, slots=True)
class Group:
    """Packets `first` to `last` (in decoding order) are decoded; the frames at or after each of `times` are kept."""

    first: int
    last: int
    times: tuple[float, ...]


def planned(
    times: NDArray[np.float64], keys: NDArray[np.bool_], *, most: int, shown: NDArray[np.bool_] | None = None
) -> tuple[Group, ...]:
    """Choose what to decode.

    Parameters
    ----------
    times : ndarray of float64, shape (N,)
        Presentation times of the packets in decoding order, in seconds.
    keys : ndarray of bool, shape (N,)
        Which of them are key frames.
    most : int
        How many frames may be chosen.
    shown : ndarray of bool, shape (N,), optional
        Which of them are shown at all; an edit list may have some decoded for others' sake only. All by default.

    Returns
    -------
    groups : tuple of Group
        In order; empty where nothing is shown.
    """
    visible = np.ones_like(keys) if shown is None else shown
    total = int(visible.sum())
    least = min(LEAST, most, total)
    if least < 1:
        return ()
    alone = np.flatnonzero(keys & visible)
    if alone.size < least:
        return _with_more(times, np.flatnonzero(keys), visible, least)
    chosen = _spaced(times, alone, max(SPACING_S, float(np.ptp(times[visible])) / most))[:most]
    if len(chosen) < least:
        chosen = alone[np.linspace(0, alone.size - 1, least).round().astype(np.intp)].tolist()
    return tuple(Group(k, k, (float(times[k]),)) for k in chosen)


def dense(
    times: NDArray[np.float64],
    keys: NDArray[np.bool_],
    every_s: float,
    *,
    most: int,
    shown: NDArray[np.bool_] | None = None,
) -> tuple[Group, ...]:
    """Choose a frame every `every_s` seconds, the whole clip being decoded for them: what a signature is made of.

    Parameters and answer are those of `planned`.
    """
    visible = np.ones_like(keys) if shown is None else shown
    starts = np.flatnonzero(keys)
    if not starts.size or starts[0] != 0:
        starts = np.concatenate([[0], starts])
    groups = []
    chosen: set[int] = set()
    for first, end in zip(starts.tolist(), [*starts[1:].tolist(), times.size], strict=True):
        inside = np.arange(first, end)[visible[first:end]]
        picked = []
        for k in inside[np.argsort(times[inside], kind="stable")].tolist():
            place = int(times[k] / every_s)
            if place not in chosen and len(chosen) < most:
                chosen.add(place)
                picked.append(k)
        if picked:
            groups.append(Group(first, end - 1, tuple(sorted({float(times[k]) for k in picked}))))
    return tuple(groups)


def _spaced(times: NDArray[np.float64], starts: NDArray[np.intp], spacing: float) -> list[int]:
    """Every key frame that comes at least `spacing` after the one chosen before."""
    chosen: list[int] = []
    for k in starts.tolist():
        if not chosen or times[k] - times[chosen[-1]] >= 0.999 * spacing:
            chosen.append(k)
    return chosen


def _with_more(
    times: NDArray[np.float64], starts: NDArray[np.intp], visible: NDArray[np.bool_], least: int
) -> tuple[Group, ...]:
    """Every key frame, and frames spread evenly over what the budget can reach behind them."""
    if not starts.size:
        starts = np.zeros(1, np.intp)  # no packet says that it is a key frame: the decoder finds its own
    lengths = np.diff(starts, append=times.size)
    budget = min(1.0, max(FLOOR, SHARE * times.size) / times.size)
    reach = np.minimum(lengths, np.ceil(budget * lengths).astype(np.intp) + 1)
    spans = [np.arange(a + 1, a + r) for a, r in zip(starts, reach, strict=True)]
    # What is shown before its key frame leans on the group before, which is not decoded to its end.
    behind = np.concatenate(
        [i[(times[i] > times[a]) & visible[i]] for a, i in zip(starts, spans, strict=True)]
    )
    pool = behind[np.argsort(times[behind], kind="stable")]
    missing = least - int(visible[starts].sum())
    steps = (np.arange(missing) + 0.5) * pool.size / missing
    picked = pool[np.unique(steps.astype(np.intp))] if pool.size else pool
    groups = []
    for a, r in zip(starts.tolist(), reach.tolist(), strict=True):
        here = [a] if visible[a] else []
        here += picked[(picked > a) & (picked < a + r)].tolist()
        if here:
            groups.append(Group(a, max(here), tuple(sorted({float(times[k]) for k in here}))))
    return tuple(groups)
