"""What metadata may betray: which keys samples carry, and which of their values samples of several sources share.

A date, a place or a serial number that one sample alone carries tells nothing of another one; it is neither counted nor
learned. Keys and values are strangers' words: few and short ones are kept.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from assay.bench.metrics import Flags, Floats

MOST_KEYS = 256  # of one sample
LONGEST = 80  # characters of a key, and of a value; the rest of a value is a digest
HEAD = 32  # characters of a value whose form is looked at
SHARED = 3  # sources that must hold a key or value
MOST_MARKS = 512  # keys of a corpus
MOST_VALUES = 24  # of one key
MOST_OF_VALUES = 2048  # of a corpus
_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Marks:
    """What a sample has or has not, each under a name."""

    keys: tuple[str, ...]  # length D; several marks may be of one key
    names: tuple[str, ...]
    held: Flags  # (N, D)

    @property
    def distinct(self) -> Flags:
        """The marks (N, E) without those that say the same, or the opposite, of all samples."""
        same = np.packbits(self.held ^ self.held[:1], axis=0)
        first = np.unique(same, axis=1, return_index=True)[1]
        return self.held[:, np.sort(first)]

    def shares(self, fake: Flags) -> tuple[Floats, Floats]:
        """Shares of bona fide samples and of fakes that have each mark."""
        return self.held[~fake].mean(0), self.held[fake].mean(0)


def kept(metadata: Mapping[str, str]) -> dict[str, str]:
    """Shorten one sample's metadata to what is worth comparing."""
    return {key[:LONGEST]: _shortened(value) for key, value in islice(metadata.items(), MOST_KEYS)}


def _shortened(value: str) -> str:
    if len(value) <= LONGEST:
        return value
    return (
        f"{value[: LONGEST - 13]}…{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    )


def readings(value: str) -> Iterator[tuple[str, str]]:
    """Read a value in ways that other samples may share: itself, its form with any digits, its first word.

    Examples
    --------
    >>> list(readings("Stable Diff 1.5"))
    [('=', 'Stable Diff 1.5'), ('like', 'Stable Diff #.#'), ('begins', 'Stable')]
    >>> list(readings("Canon"))
    [('=', 'Canon')]
    """
    yield "=", value
    form = _DIGITS.sub("#", value[:HEAD])
    if form != value:
        yield "like", form
    word = _WORD.match(value)
    if word and word[0] != value:
        yield "begins", word[0][:HEAD]


def marks(told: Sequence[Mapping[str, str]], sources: Sequence[str]) -> tuple[Marks, Marks]:
    """Find the keys, and the values, that samples of `SHARED` sources or more have and others have not.

    Parameters
    ----------
    told : sequence of mappings, length N
        Each sample's `kept` metadata.
    sources : sequence of str, length N
    """
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for n, tags in enumerate(told):
        for key in tags:
            rows[key].append(n)
    common = _common(rows, sources)[:MOST_MARKS]
    named: list[tuple[str, str]] = []
    holding: list[list[int]] = []
    for key in common:
        for reading, own in _values(key, rows[key], told, sources):
            named.append((key, f"{key} {reading}"))
            holding.append(own)
        if len(named) >= MOST_OF_VALUES:
            break
    size = len(told)
    values = _marks(named[:MOST_OF_VALUES], holding[:MOST_OF_VALUES], size)
    return _marks([(key, key) for key in common], [rows[key] for key in common], size), values


def _common(rows: Mapping[str, list[int]], sources: Sequence[str]) -> list[str]:
    """Names that samples of enough sources hold, the most frequent first."""
    enough = [name for name, own in rows.items() if len({sources[n] for n in own}) >= SHARED]
    return sorted(enough, key=lambda name: (-len(rows[name]), name))


def _values(
    key: str, own: list[int], told: Sequence[Mapping[str, str]], sources: Sequence[str]
) -> Iterator[tuple[str, list[int]]]:
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for n in own:
        for how, text in readings(told[n][key]):
            rows[f"{how} {text}"].append(n)
    for name in _common(rows, sources)[:MOST_VALUES]:
        yield name, rows[name]


def _marks(named: Sequence[tuple[str, str]], holding: Sequence[list[int]], size: int) -> Marks:
    """Put marks into a table, those that every sample has left out."""
    telling = [k for k, own in enumerate(holding) if len(own) < size]
    held = np.zeros((size, len(telling)), bool)
    for column, k in enumerate(telling):
        held[holding[k], column] = True
    return Marks(tuple(named[k][0] for k in telling), tuple(named[k][1] for k in telling), held)
