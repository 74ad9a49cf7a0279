"""Fingerprints of videos: PDQ of frames with their times, and the search for a cut of a longer clip.

A signature holds a frame every `SPACING_S`, at fixed times (`sampled_times`). What is asked may hold any frames at any
times, few or many, as the decoder of another encoding chose them: an excerpt starts between two stored frames, and half
of the spacing is what it may be off. Each pair of like frames votes for an offset between the two clocks; where most
votes agree, the frames there are compared one by one.

The same picture shown for long agrees with any offset. So a match also counts how many *distinct* frames agree: with one
it says no more than that picture does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.signatures.codes import Codes, distances
from assay.signatures.pdq import ImagePrint, pixels_print
from assay.types import Reason

FORMAT = "pdq-frames/1"
SPACING_S = 0.25
TOLERANCE_S = 0.25  # how far two like frames' times may differ from the common offset
RADIUS = 31
LEAST = 3  # frames that must agree
SHARE = 0.5  # of the frames that overlap must agree
# Clocks of the asked against the stored: as it is, and film run at 25 frames a second or brought back from it.
SPEEDS = (1.0, 24 / 25, 25 / 24)
LONGEST = 40_000  # frames of a stored clip: 10,000 s

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class VideoPrint:
    """Fingerprints of a clip's frames, in order of time."""

    times_s: Times  # (N,)
    codes: Codes  # (N, 8, 4), orientation 1 first; a stored signature keeps orientation 1 alone: (N, 1, 4)

    def stored(self) -> VideoPrint:
        """What a signature keeps: the upright codes."""
        return VideoPrint(self.times_s, np.ascontiguousarray(self.codes[:, :1]))


@dataclass(frozen=True, slots=True)
class VideoMatch:
    """How frames of an asked clip agree with those of a stored one."""

    offset_s: float  # time in the stored clip = offset + speed * time in the asked one
    speed: float
    orientation: int  # of the asked clip, as EXIF counts, that agrees
    start_s: float  # first and last agreeing frame, in the stored clip
    end_s: float
    agreeing: int  # frames of the asked clip
    compared: int  # of those that fall inside the stored clip
    distinct: int  # agreeing frames that differ from each other by more than `RADIUS`
    distance: float  # median of the agreeing frames', bits


def sampled_times(duration_s: float) -> Times:
    """The times of a signature's frames: the middle of every `SPACING_S`, at most `LONGEST`."""
    count = min(LONGEST, max(1, int(duration_s / SPACING_S)))
    return (np.arange(count, dtype=np.float64) + 0.5) * SPACING_S


def video_print(frames: Iterable[tuple[float, NDArray[np.uint8]]]) -> VideoPrint | Reason:
    """Fingerprint frames (time in seconds, upright pixels (H, W, 3)), leaving out those too flat or small.

    Returns
    -------
    fingerprint : VideoPrint or Reason
        A reason of the code ``no_frames`` where none has a fingerprint.
    """
    times: list[float] = []
    codes: list[Codes] = []
    seen = 0
    for time_s, pixels in frames:
        seen += 1
        found = pixels_print(pixels)
        if isinstance(found, ImagePrint):
            times.append(time_s)
            codes.append(found.codes)
    if not codes:
        return Reason("no_frames", f"None of its {seen} frames has enough structure for a fingerprint.")
    order = np.argsort(times, kind="stable")
    return VideoPrint(np.array(times, np.float64)[order], np.stack(codes)[order])


def match(asked: VideoPrint, stored: VideoPrint) -> VideoMatch | None:
    """Find where a clip, or a part of it, lies in a stored one.

    Returns
    -------
    match : VideoMatch or None
        The alignment with most agreeing frames; None where fewer than `LEAST` frames agree, or less than `SHARE` of
        those that overlap.
    """
    best: VideoMatch | None = None
    for orientation in range(asked.codes.shape[1]):
        gaps = np.stack([distances(code, stored.codes[:, 0]) for code in asked.codes[:, orientation]])
        for speed in SPEEDS:
            found = _aligned(asked, stored, gaps, orientation, speed)
            if found is not None and (best is None or _better(found, best)):
                best = found
    return best


def shortlist(
    query_times_s: Times, keys: NDArray[np.int64], stored_times_s: Times
) -> list[tuple[int, float, int]]:
    """Which stored clips to compare, from hits of an index: each votes for its clip and an offset.

    Parameters
    ----------
    query_times_s, stored_times_s : ndarray of float64, shape (H,)
        Times of the asked and the known frame of each hit.
    keys : ndarray of int64, shape (H,)
        The known clip of each hit.

    Returns
    -------
    votes : list of (key, offset_s, votes)
        Most votes first; an asked frame votes once for a clip and an offset.
    """
    bins = np.floor((stored_times_s - query_times_s) / (2 * TOLERANCE_S)).astype(np.int64)
    single = set(zip(keys.tolist(), bins.tolist(), query_times_s.tolist(), strict=True))
    counted: Counter[tuple[int, int]] = Counter()
    for key, place, _ in single:
        counted[key, place] += 1
        counted[key, place - 1] += 1  # bins overlap by half, so that no offset lies on an edge
    best: dict[int, tuple[int, int]] = {}
    for (key, place), votes in sorted(counted.items()):
        if votes > best.get(key, (0, 0))[0]:
            best[key] = (votes, place)
    ranked = [(key, (place + 1) * 2 * TOLERANCE_S, votes) for key, (votes, place) in best.items()]
    return sorted(ranked, key=lambda r: (-r[2], r[0]))


def _aligned(
    asked: VideoPrint, stored: VideoPrint, gaps: NDArray[np.int64], orientation: int, speed: float
) -> VideoMatch | None:
    """The best offset for one orientation and speed; `gaps` (Q, N) are distances of frames."""
    q, n = np.nonzero(gaps <= RADIUS)
    if len(q) < LEAST:
        return None
    votes = stored.times_s[n] - speed * asked.times_s[q]
    found = None
    for offset in _peaks(votes, q):
        one = _compared(asked, stored, gaps, orientation, speed, offset)
        if one is not None and (found is None or _better(one, found)):
            found = one
    return found


def _peaks(votes: Times, voters: NDArray[np.int64]) -> list[float]:
    """The few offsets most voted for, each refined to the median of its votes; a voter counts once an offset."""
    places = np.floor(votes / TOLERANCE_S).astype(np.int64)
    single = np.unique(np.stack([np.concatenate([places, places - 1]), np.tile(voters, 2)]), axis=1)
    bins, counts = np.unique(single[0], return_counts=True)
    top = bins[np.argsort(-counts, kind="stable")[:4]]
    return [float(np.median(votes[(places == b) | (places == b + 1)])) for b in top]


def _compared(
    asked: VideoPrint,
    stored: VideoPrint,
    gaps: NDArray[np.int64],
    orientation: int,
    speed: float,
    offset: float,
) -> VideoMatch | None:
    moved = offset + speed * asked.times_s
    reach = TOLERANCE_S + 1e-9
    near = np.abs(moved[:, None] - stored.times_s) <= reach
    inside = near.any(axis=1)
    nearest = np.where(near, gaps, 256).min(axis=1)
    agrees = np.flatnonzero(nearest <= RADIUS)
    if len(agrees) < LEAST or len(agrees) < SHARE * inside.sum():
        return None
    return VideoMatch(
        offset_s=offset, speed=speed, orientation=orientation + 1,
        start_s=float(moved[agrees[0]]), end_s=float(moved[agrees[-1]]),
        agreeing=len(agrees), compared=int(inside.sum()),
        distinct=_distinct(asked.codes[agrees, orientation]), distance=float(np.median(nearest[agrees])),
    )  # fmt: skip


def _distinct(codes: Codes) -> int:
    """How many codes (N, 4) differ by more than `RADIUS` from all that were counted before them."""
    kept = codes[:1]
    for code in codes[1:]:
        if distances(code, kept).min() > RADIUS:
            kept = np.concatenate([kept, code[None]])
    return len(kept)


def _better(one: VideoMatch, other: VideoMatch) -> bool:
    return (one.agreeing, -one.distance) > (other.agreeing, -other.distance)
