"""Fingerprints of sound, and the search for an excerpt in longer recordings.

The path is part of the format: all channels are averaged, cut to full scale, rounded to 16 bits at the sample's own rate,
and handed to chromaprint (algorithm 2), which resamples to 11,025 Hz. An item of 32 bits stands for each 0.124 s.

Search: items whose `KEY` bits are equal vote for an offset between the two recordings; at the offsets with most votes
all items are compared bit by bit, and the longest stretch that agrees is the match. An excerpt does not begin on an item's
edge, and codecs change bits: so agreement is a rate of errors, about a half for other sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.closing import Closing
from assay.errors import AssayError, Failed
from assay.signatures import chromaprint
from assay.signatures.chromaprint import Items
from assay.types import Reason

FORMAT = "chromaprint-2/1"
ITEM_S = chromaprint.ITEM / chromaprint.RATE_HZ
LEAST = 24  # items: three seconds must agree
DISTINCT = 12  # different items without which sound is too even to be recognised
ERRORS = 0.25  # of bits, over any `LEAST` items of a match; docs/signatures.md has what was measured
KEY = 16  # upper bits of an item that vote
COMMON = 0.01  # of all items: a key more common than this says nothing about the place
_OFFSETS = 32  # compared bit by bit

Block = tuple[int, NDArray[np.float32]]  # rate in Hz, samples (C, N)


@dataclass(frozen=True, slots=True, eq=False)
class AudioPrint:
    """Chromaprint's items of one recording, 0.124 s apart."""

    items: Items  # (N,)


@dataclass(frozen=True, slots=True)
class AudioMatch:
    """A stretch of the asked sound that agrees with a known recording."""

    key: int  # of the recording
    offset_s: float  # time in the recording = offset + time in the asked sound
    start_s: float  # of the stretch, in the recording
    end_s: float
    items: int
    errors: float  # share of bits that differ, 0 to `ERRORS`


def audio_print(blocks: Iterable[Block]) -> AudioPrint | Reason:
    """Fingerprint sound, or say why it has no fingerprint.

    Parameters
    ----------
    blocks : iterable of (rate_hz, samples (C, N))
        In order and of one rate, full scale 1; windows of a track follow each other.

    Returns
    -------
    fingerprint : AudioPrint or Reason
        A reason of the code ``too_short``, ``too_even``, ``several_rates``, ``chromaprint`` (not installed) or
        ``chromaprint_failed``.
    """
    with SoundPrinter() as printer:
        for rate_hz, samples in blocks:
            printer.feed(rate_hz, samples)
        return printer.finish()


class SoundPrinter(Closing):
    """Fingerprints sound that comes window by window; close it, or use it as a context manager. Nothing is raised: what
    goes wrong is the reason that there is no fingerprint."""

    def __init__(self) -> None:
        self._stream: chromaprint.Stream | None = None
        self._rate_hz = 0
        self._problem: Reason | None = None

    def feed(self, rate_hz: int, samples: NDArray[np.float32]) -> None:
        """Take the next samples (C, N), full scale 1."""
        if self._problem is not None:
            return
        try:
            if self._stream is None:
                self._stream, self._rate_hz = chromaprint.Stream(rate_hz), rate_hz
            elif rate_hz != self._rate_hz:
                raise Failed("its sampling rate changes on the way", code="several_rates")
            self._stream.feed(_mono(samples))
        except AssayError as e:
            self._problem = _no_print(e)

    def finish(self) -> AudioPrint | Reason:
        """The fingerprint of all that was fed, or why there is none."""
        if self._problem is not None:
            return self._problem
        try:
            items = _no_items() if self._stream is None else self._stream.finish()
        except AssayError as e:
            return _no_print(e)
        if len(items) < LEAST:
            return Reason("too_short", f"Under {LEAST * ITEM_S + 2.6:.0f} s of sound have no fingerprint.")
        if len(np.unique(items)) < DISTINCT:
            return Reason("too_even", "Its sound is too even for a fingerprint: silence, a tone or a hum.")
        return AudioPrint(items)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _no_print(e: AssayError) -> Reason:
    return Reason(e.code, f"It has no fingerprint: {e.message}. {e.hint}".strip())


class Recordings:
    """Known recordings, searched together. Reading is safe from several threads."""

    def __init__(self, recordings: Sequence[tuple[int, AudioPrint]]) -> None:
        """Sort the items of recordings, given as (key, fingerprint), by the bits that vote."""
        lengths = [len(p.items) for _, p in recordings]
        self._keys = [key for key, _ in recordings]
        self._ends = np.cumsum(lengths, dtype=np.int64)
        self._items = np.concatenate([_no_items(), *(p.items for _, p in recordings)])
        voting = self._items >> np.uint32(32 - KEY)
        self._order = np.argsort(voting, kind="stable")
        self._voting = voting[self._order]

    def __len__(self) -> int:
        return len(self._keys)

    def search(self, asked: AudioPrint) -> list[AudioMatch]:
        """Find the recordings that a sound, or a part of it, is an excerpt of or holds.

        Returns
        -------
        matches : list of AudioMatch
            The best agreeing stretch of each recording that has one of `LEAST` items, most agreement first.
        """
        best: dict[int, AudioMatch] = {}
        for shift in self._shifts(asked.items):
            for n in self._overlapping(shift, len(asked.items)):
                found = self._compared(asked.items, n, shift)
                if found is not None and (n not in best or _weight(found) > _weight(best[n])):
                    best[n] = found
        return sorted(best.values(), key=lambda m: (-_weight(m), m.key))

    def _shifts(self, items: Items) -> list[int]:
        """Offsets into all recordings laid end to end that most items vote for, and their neighbours."""
        voting = items >> np.uint32(32 - KEY)
        low, high = (np.searchsorted(self._voting, voting, side=s) for s in ("left", "right"))
        counts = high - low
        counts[counts > max(LEAST, COMMON * len(self._items))] = 0
        asked = np.repeat(np.arange(len(items)), counts)
        within = np.arange(len(asked)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = self._order[np.repeat(low, counts) + within] - asked
        offsets, votes = np.unique(places, return_counts=True)
        top = offsets[np.argsort(-votes, kind="stable")[:_OFFSETS]]
        return sorted({int(o) + near for o in top for near in (-1, 0, 1)})

    def _overlapping(self, shift: int, length: int) -> range:
        """Which recordings the asked items reach, shifted by so much."""
        first = int(np.searchsorted(self._ends, max(0, shift), side="right"))
        last = int(np.searchsorted(self._ends, shift + length - 1, side="right"))
        return range(first, min(last + 1, len(self._keys)))

    def _compared(self, items: Items, n: int, shift: int) -> AudioMatch | None:
        start, end = int(self._ends[n - 1]) if n else 0, int(self._ends[n])
        low, high = max(start, shift), min(end, shift + len(items))
        if high - low < LEAST:
            return None
        wrong = np.bitwise_count(self._items[low:high] ^ items[low - shift : high - shift])
        stretch = _longest(wrong)
        if stretch is None:
            return None
        a, b = stretch
        return AudioMatch(
            key=self._keys[n], offset_s=(shift - start) * ITEM_S, start_s=(low - start + a) * ITEM_S,
            end_s=(low - start + b) * ITEM_S, items=b - a, errors=float(wrong[a:b].mean()) / 32,
        )  # fmt: skip


def match(asked: AudioPrint, known: AudioPrint) -> AudioMatch | None:
    """Compare two recordings: the longest stretch that agrees, or None."""
    found = Recordings([(0, known)]).search(asked)
    return found[0] if found else None


def _weight(found: AudioMatch) -> float:
    """Bits that agree beyond chance: a neighbouring offset may agree for as long, but with more errors."""
    return found.items * (0.5 - found.errors)


def _longest(wrong: NDArray[np.uint8]) -> tuple[int, int] | None:
    """The longest run of items any `LEAST` of which have few errors on average; `wrong` counts bits an item."""
    sums = np.cumsum(np.concatenate([[0], wrong.astype(np.int64)]))
    good = sums[LEAST:] - sums[:-LEAST] <= ERRORS * 32 * LEAST
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        return None
    first, last = runs[np.argmax(runs[:, 1] - runs[:, 0])].tolist()
    return first, last - 1 + LEAST


def _mono(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Average the channels of samples (C, N) and round to 16 bits: (N,). What is no number is silence."""
    mean = np.nan_to_num(samples, posinf=1, neginf=-1).mean(axis=0, dtype=np.float64)
    return np.asarray(np.rint(np.clip(mean, -1, 1) * 32767), np.int16)


def _no_items() -> Items:
    return np.empty(0, np.uint32)
