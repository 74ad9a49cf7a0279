"""How sure a figure is: intervals that count sources, not rows, and grow where there are few.

Rows of one source (a camera, a person, a scene, all its launderings) rise and fall together, so sources are drawn
anew, within each class. A bootstrap of three sources would look far too sure, of one perfectly sure: the interval is
stretched by Student's factor, a share of 0 or 1 and a nearly perfect order get a Wilson bound with sources for trials,
and with fewer than `FEWEST` sources nothing is claimed at all.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from assay.bench import metrics
from assay.bench.metrics import Counts, Flags, Floats
from assay.verdict.conformal import wilson

LEVEL = 0.95
REPLICATES = 1000
FEWEST = 3  # sources of each class that matters
SPARSE = 1.0  # sources: an order of scores that less than this spoils is nearly perfect, and its replicates hardly vary
MOST_BINS = 512  # distinct scores in replicates; more are put together, the estimate itself uses all


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, its interval, and how much stands behind it."""

    value: float  # NaN: nothing can be said
    low: float
    high: float
    n: int  # rows
    sources: int  # distinct ones; of the smaller class where both matter

    @property
    def known(self) -> bool:
        return math.isfinite(self.value)


class Resampling:
    """Draws of sources for one set of rows, shared by all figures of these rows.

    Parameters
    ----------
    sources : sequence of str, length N
        What must count once: camera, person, scene.
    fake : ndarray of bool, shape (N,)
    replicates : int
        Draws.
    seed : int
        Same seed, same intervals.
    level : float
        Share of replicates inside of an interval.
    """

    def __init__(
        self,
        sources: Sequence[str],
        fake: Flags,
        *,
        replicates: int = REPLICATES,
        seed: int = 0,
        level: float = LEVEL,
    ) -> None:
        self.fake = np.asarray(fake, bool)
        self.level = level
        self._place = np.zeros(self.fake.size, np.intp)
        self._draws: dict[bool, Floats] = {}  # class -> (replicates, sources of the class)
        names = np.array(list(sources), dtype=object).astype(str)
        if names.shape != self.fake.shape:
            raise ValueError("sources and labels must be of one length")
        rng = np.random.default_rng(seed)
        for label in (False, True):
            rows = self.fake == label
            distinct, place = np.unique(names[rows], return_inverse=True)
            self._place[rows] = place
            size = distinct.size
            drawn = (
                rng.multinomial(size, np.full(size, 1 / size), replicates)
                if size
                else np.zeros((replicates, 0))
            )
            self._draws[label] = drawn.astype(np.float64)

    def sources(self, *, fake: bool) -> int:
        """Count the sources of a class."""
        return int(self._draws[fake].shape[1])

    def sums(self, values: Floats, *, fake: bool) -> Floats:
        """Sum `values` (N, ...) of one class in every replicate; shape (replicates, ...)."""
        rows = self.fake == fake
        kept = values[rows].reshape(int(rows.sum()), math.prod(values.shape[1:]))
        by_source = np.zeros((self.sources(fake=fake), kept.shape[1]))
        np.add.at(by_source, self._place[rows], kept)
        return (self._draws[fake] @ by_source).reshape(-1, *values.shape[1:])

    def counts(self, scores: Floats) -> Counts:
        """`metrics.counts` of every replicate, of at most `MOST_BINS` distinct scores."""
        distinct, place = np.unique(scores, return_inverse=True)
        if distinct.size > MOST_BINS:
            place = metrics.bins_of(scores, np.ones(scores.size), MOST_BINS)
        size = int(place.max()) + 1 if place.size else 0
        drawn = []
        for label in (False, True):
            rows = self.fake == label
            cell = np.bincount(
                self._place[rows] * size + place[rows], minlength=self.sources(fake=label) * size
            )
            drawn.append(self._draws[label] @ cell.reshape(-1, size).astype(np.float64))
        return Counts(np.arange(size, dtype=np.float64), drawn[0], drawn[1])

    # Figures of scores ----------------------------------------------------------------------------------------------

    def auc(self, scores: Floats) -> Estimate:
        return self._of_counts(scores, metrics.auc_of)

    def eer(self, scores: Floats) -> Estimate:
        return self._of_counts(scores, metrics.eer_of)

    def tpr_at(self, scores: Floats, fpr: float = metrics.FPR) -> Estimate:
        return self._of_counts(scores, functools.partial(metrics.tpr_at_of, fpr=fpr))

    def _of_counts(self, scores: Floats, figure: Callable[[Counts], Floats]) -> Estimate:
        scores = np.asarray(scores, np.float64)
        value = float(figure(metrics.counts(scores, self.fake)))
        if not math.isfinite(value):
            return self._nothing()
        return self.estimate(value, figure(self.counts(scores)), both=True, sparse=SPARSE)

    # Figures of LLRs ------------------------------------------------------------------------------------------------

    def cllr(self, llrs: Floats) -> Estimate:
        """Cllr in bits; it has no upper end."""
        value = metrics.cllr(llrs, self.fake)
        if not math.isfinite(value):
            return self._nothing()
        costs = metrics.cllr_costs(np.asarray(llrs, np.float64), self.fake)
        halves = [self.sums(costs, fake=k) / self.sums(np.ones(costs.size), fake=k) for k in (False, True)]
        return self.estimate(value, (halves[0] + halves[1]) / 2, both=True, top=math.inf)

    def ece(self, llrs: Floats, bins: int = 10) -> Estimate:
        """ECE with the bins of the estimate kept; replicates scatter upwards, so the interval leans to larger ones."""
        value = metrics.ece(llrs, self.fake, bins)
        if not math.isfinite(value):
            return self._nothing()
        p = metrics.probability(llrs)
        weights = np.where(self.fake, 1 / self.fake.sum(), 1 / (~self.fake).sum())
        place = metrics.bins_of(p, weights, bins)
        inside = np.eye(int(place.max()) + 1)[place]
        gap = np.zeros(())
        for label in (False, True):
            n = self.sums(np.ones(p.size), fake=label)[:, None]
            said = self.sums(inside * p[:, None], fake=label) / n
            seen = self.sums(inside, fake=label) / n if label else 0.0
            gap = gap + (said - seen) / 2
        return self.estimate(value, np.abs(gap).sum(-1), both=True)

    # Shares and means -----------------------------------------------------------------------------------------------

    def share(self, hits: Flags, *, fake: bool) -> Estimate:
        """Share of one class's rows that `hits` (N,) marks."""
        return self.mean(np.asarray(hits, np.float64), fake=fake)

    def share_of_all(self, hits: Flags) -> Estimate:
        """Share of all rows that `hits` marks, classes as they are mixed here."""
        n = self.fake.size
        if not n:
            return self._nothing()
        values = np.asarray(hits, np.float64)
        drawn = sum(self.sums(values, fake=k) for k in (False, True))
        total = sum(self.sums(np.ones(n), fake=k) for k in (False, True))
        return self.estimate(
            float(values.mean()), np.asarray(drawn / total), both=False, sources=self.distinct()
        )

    def mean(self, values: Floats, *, fake: bool) -> Estimate:
        """Mean over one class of `values` (N,) between 0 and 1, rows of NaN left out."""
        values = np.asarray(values, np.float64)
        there = np.isfinite(values) & (self.fake == fake)
        n = int(there.sum())
        sources = int(np.unique(self._place[there]).size)
        if not n:
            return Estimate(math.nan, math.nan, math.nan, 0, 0)
        total = self.sums(there.astype(np.float64), fake=fake)
        drawn = metrics._ratio(self.sums(np.where(there, values, 0.0), fake=fake), total)  # noqa: SLF001
        return self.estimate(float(values[there].mean()), drawn, both=False, n=n, sources=sources)

    # Intervals ------------------------------------------------------------------------------------------------------

    def distinct(self) -> int:
        return self.sources(fake=False) + self.sources(fake=True)

    def estimate(
        self,
        value: float,
        replicates: Floats,
        *,
        both: bool,
        top: float = 1.0,
        n: int | None = None,
        sources: int | None = None,
        sparse: float = 0.0,
    ) -> Estimate:
        """Turn a value and its replicates into an interval between 0 and `top`; `both`: it needs both classes."""
        if sources is None:
            sizes = [self.sources(fake=k) for k in (False, True)]
            sources = min(sizes) if both else sum(sizes)
        low, high = interval(value, replicates, sources, level=self.level, top=top, sparse=sparse)
        return Estimate(value, low, high, self.fake.size if n is None else n, sources)

    def _nothing(self) -> Estimate:
        sources = min(self.sources(fake=k) for k in (False, True))
        return Estimate(math.nan, math.nan, math.nan, self.fake.size, sources)


def interval(
    value: float,
    replicates: Floats,
    sources: int,
    *,
    level: float = LEVEL,
    top: float = 1.0,
    sparse: float = 0.0,
) -> tuple[float, float]:
    """Turn bootstrap replicates of a figure between 0 and `top` into an interval.

    Percentiles, stretched from `value` by sqrt(k / (k - 1)) t / z for k sources (what a bootstrap of few clusters
    lacks), never narrower than a Wilson interval of k trials where all replicates agree or fewer than `sparse` of k
    sources make the figure differ from 0 or 1, and everything from 0 to `top` below `FEWEST` sources. A mean cost that
    all sources share may be any other for as many of them as a Wilson bound of none leaves.

    Parameters
    ----------
    value : float
        The estimate from all rows.
    replicates : ndarray of float64, shape (B,)
        NaN where a replicate says nothing.
    sources : int
        Independent ones behind the estimate.
    sparse : float
        Sources; 0 asks for the Wilson interval only where replicates agree.

    References
    ----------
    T. Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69, 2015,
    doi:10.1080/00031305.2015.1089789 (the stretch); E. B. Wilson, JASA 22, 1927.
    """
    if sources < FEWEST:
        return 0.0, top
    told = replicates[np.isfinite(replicates)]
    if not told.size:
        return 0.0, top
    tail = (1 - level) / 2
    low, high = (float(q) for q in np.quantile(told, [tail, 1 - tail]))
    stretch = _stretch(sources, level)
    low = value - stretch * max(0.0, value - low)
    high = value + stretch * max(0.0, high - value)
    agree, z = high - low < 1e-12, NormalDist().inv_cdf(1 - tail)
    if top > 1:
        low, high = (value * (1 - wilson(0, sources, z)[1]), top) if agree else (low, high)
    elif agree or value in (0.0, 1.0) or min(value, 1 - value) * sources < sparse:
        w_low, w_high = wilson(value * sources, sources, z)
        low, high = min(low, w_low), max(high, w_high)
    return max(0.0, low), min(top, high)


def _stretch(k: int, level: float) -> float:
    z = NormalDist().inv_cdf((1 + level) / 2)
    return math.sqrt(k / (k - 1)) * student(level, k - 1) / z


@functools.cache
def student(level: float, freedom: int) -> float:
    """Return t with P(-t < T < t) = `level` for Student's T; by the integral of cos(angle) ** (freedom - 1)."""
    if freedom > 500:
        return NormalDist().inv_cdf((1 + level) / 2)
    angle = np.linspace(0.0, math.pi / 2, 20001)
    density = np.cos(angle) ** (freedom - 1)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(freedom) * math.tan(float(np.interp(level, mass / mass[-1], angle)))
