"""Figures of merit of scores and of log-likelihood ratios, vectorised and weighted; NaN where nothing can be said.

A score rises with the evidence for fake. Every function takes scores and a mask `fake` of the same length, and
optional weights (how often each row counts). Rows without a score are left out by the caller, who tells how many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
FPR = 0.01  # the false-positive rate at which detectors are compared


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows at each distinct score, rising: all that a ROC curve needs. Leading axes are replicates.

    Attributes
    ----------
    scores : ndarray of float64, shape (U,)
    bona_fide, fakes : ndarray of float64, shape (..., U)
        Weight of the rows at each score.
    """

    scores: Floats
    bona_fide: Floats
    fakes: Floats


def counts(scores: Floats, fake: Flags, weights: Floats | None = None) -> Counts:
    """Gather equal scores.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
        Finite.
    fake : ndarray of bool, shape (N,)
    weights : ndarray of float64, shape (N,), optional
        1 for each row by default.

    Raises
    ------
    ValueError
        If a score is not finite or the shapes differ.
    """
    scores = np.asarray(scores, np.float64)
    fake = np.asarray(fake, bool)
    if scores.shape != fake.shape or scores.ndim != 1:
        raise ValueError("scores and labels must be vectors of one length")
    if not np.isfinite(scores).all():
        raise ValueError("a score must be finite")
    weights = np.ones(scores.size) if weights is None else np.asarray(weights, np.float64)
    distinct, place = np.unique(scores, return_inverse=True)
    size = distinct.size
    return Counts(
        distinct,
        _binned(place[~fake], weights[~fake], size),
        _binned(place[fake], weights[fake], size),
    )


def auc_of(c: Counts) -> Floats:
    """Area under the ROC curve of counts, shape (...); NaN where a class is empty."""
    below = np.cumsum(c.bona_fide, axis=-1) - c.bona_fide / 2
    total = c.bona_fide.sum(-1) * c.fakes.sum(-1)
    return _ratio((below * c.fakes).sum(-1), total)


def rates_of(c: Counts) -> tuple[Floats, Floats]:
    """False- and true-positive rates when all scores from the u-th on are called fake, u = U ... 0; shape (..., U + 1)."""
    fpr = _ratio(_reached(c.bona_fide), c.bona_fide.sum(-1, keepdims=True))
    tpr = _ratio(_reached(c.fakes), c.fakes.sum(-1, keepdims=True))
    return fpr, tpr


def eer_of(c: Counts) -> Floats:
    """Equal error rate of counts, on the straight lines between the ROC curve's points; shape (...)."""
    if not c.scores.size:
        return np.full(c.fakes.shape[:-1], np.nan)
    fpr, tpr = rates_of(c)
    gap = fpr - (1 - tpr)  # rises from -1 to 1
    after = np.clip(np.argmax(gap >= 0, axis=-1), 1, None)[..., None]
    g0, g1 = (np.take_along_axis(gap, k, -1)[..., 0] for k in (after - 1, after))
    f0, f1 = (np.take_along_axis(fpr, k, -1)[..., 0] for k in (after - 1, after))
    return f0 + (f1 - f0) * _ratio(-g0, g1 - g0)


def tpr_at_of(c: Counts, fpr: float) -> Floats:
    """Share of fakes over the conformal threshold of counts (see `tpr_at`), shape (...)."""
    n = c.bona_fide.sum(-1, keepdims=True)
    rank = n + 1 - np.floor((n + 1) * fpr + 1e-9)
    covered = np.cumsum(c.bona_fide, axis=-1) >= rank - 1e-9
    over = (np.where(np.cumsum(covered, axis=-1) > 1, c.fakes, 0.0)).sum(-1)
    share = _ratio(over, c.fakes.sum(-1))
    return np.where((rank <= n)[..., 0], share, np.nan)


def auc(scores: Floats, fake: Flags, weights: Floats | None = None) -> float:
    """Probability that a fake scores higher than a bona fide sample, ties counting half.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
    fake : ndarray of bool, shape (N,)
    weights : ndarray of float64, shape (N,), optional

    Returns
    -------
    auc : float
        0 to 1; NaN without both classes.

    References
    ----------
    J. A. Hanley, B. J. McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982.

    Examples
    --------
    >>> auc(np.array([0.0, 1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    0.875
    """
    return float(auc_of(counts(scores, fake, weights)))


def eer(scores: Floats, fake: Flags, weights: Floats | None = None) -> float:
    """Error rate at the point of the ROC curve where both errors are equal; NaN without both classes.

    References
    ----------
    N. Brümmer, E. de Villiers, "The BOSARIS toolkit", 2013 (there of the convex hull; here of the curve itself).
    """
    return float(eer_of(counts(scores, fake, weights)))


def tpr_at(scores: Floats, fake: Flags, fpr: float = FPR, weights: Floats | None = None) -> float:
    """Share of fakes over the threshold that bona fide samples set, as the shipped thresholds are set.

    The threshold lies just above the k-th smallest bona fide score, k = ceil((n + 1) (1 - fpr)): the split-conformal
    quantile, under which a new exchangeable bona fide sample is over it with a probability of at most `fpr`.

    Returns
    -------
    tpr : float
        0 to 1; NaN without fakes, or with fewer than ceil(1 / fpr) - 1 bona fide samples, 99 at 1 %.

    References
    ----------
    V. Vovk, A. Gammerman, G. Shafer, "Algorithmic learning in a random world", 2005, ch. 2.
    """
    return float(tpr_at_of(counts(scores, fake, weights), fpr))


def roc(scores: Floats, fake: Flags) -> tuple[Floats, Floats]:
    """False- and true-positive rates at every threshold, from (0, 0) to (1, 1); shape (U + 1,) each."""
    return rates_of(counts(scores, fake))


def det(scores: Floats, fake: Flags) -> tuple[Floats, Floats]:
    """Probits of false- and of false-negative rates: the axes of a detection error trade-off diagram.

    Rates of 0 and 1, which lie at infinity, are left out.

    References
    ----------
    A. Martin et al., "The DET curve in assessment of detection task performance", Eurospeech 1997.
    """
    fpr, tpr = roc(scores, fake)
    inside = (fpr > 0) & (fpr < 1) & (tpr > 0) & (tpr < 1)
    return probit(fpr[inside]), probit(1 - tpr[inside])


def probit(shares: Floats) -> Floats:
    """Quantiles of the normal distribution, shares strictly between 0 and 1."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(float(p)) for p in shares], np.float64)


def cllr_costs(llrs: Floats, fake: Flags) -> Floats:
    """What each LLR (nats) costs in bits: log2(1 + exp(-llr)) of a fake, log2(1 + exp(llr)) of a bona fide sample."""
    costs: Floats = np.logaddexp(0.0, np.where(fake, -llrs, llrs)) / math.log(2)
    return costs


def cllr(llrs: Floats, fake: Flags, weights: Floats | None = None) -> float:
    """Cost of log-likelihood ratios, both classes weighing the same.

    Parameters
    ----------
    llrs : ndarray of float64, shape (N,)
        Nats.

    Returns
    -------
    cllr : float
        Bits: 0 is perfect, 1 is what saying nothing (LLR 0) costs, more is misleading; NaN without both classes.

    References
    ----------
    N. Brümmer, J. du Preez, "Application-independent evaluation of speaker detection", Computer Speech & Language 20,
    2006, doi:10.1016/j.csl.2005.08.001.
    """
    costs = cllr_costs(np.asarray(llrs, np.float64), np.asarray(fake, bool))
    return (_mean(costs, fake, weights) + _mean(costs, ~np.asarray(fake, bool), weights)) / 2


def min_cllr(scores: Floats, fake: Flags, weights: Floats | None = None) -> float:
    """Cllr after the best monotone map from score to LLR: what discrimination alone would cost.

    References
    ----------
    Brümmer and du Preez, 2006 (as `cllr`); the map is isotonic regression by pool adjacent violators.
    """
    c = counts(scores, fake, weights)
    n0, n1 = float(c.bona_fide.sum()), float(c.fakes.sum())
    if not n0 or not n1:
        return math.nan
    b, f = _pooled(c.bona_fide / n0, c.fakes / n1)
    with np.errstate(divide="ignore", invalid="ignore"):
        costs = np.where(f > 0, f * np.log2(1 + b / f), 0.0) + np.where(b > 0, b * np.log2(1 + f / b), 0.0)
    return float(costs.sum() / 2)


def probability(llrs: Floats) -> Floats:
    """Posterior probability of fake at a prior of one half."""
    with np.errstate(over="ignore"):
        p: Floats = 1 / (1 + np.exp(-np.asarray(llrs, np.float64)))
    return p


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram: per bin, mean probability said, share of fakes at a prior of one half, and both masses."""

    said: Floats
    seen: Floats
    bona_fide: Floats  # share of all bona fide samples in the bin
    fakes: Floats

    @property
    def ece(self) -> float:
        mass = (self.bona_fide + self.fakes) / 2
        return float((mass * np.abs(self.said - self.seen)).sum())


def reliability(llrs: Floats, fake: Flags, bins: int = 10) -> Reliability | None:
    """Compare probabilities at a prior of one half with what was true, in bins of about equal mass.

    Both classes weigh one half in total, whatever their numbers are. Equal probabilities share a bin.

    Returns
    -------
    reliability : Reliability or None
        None without both classes.
    """
    fake = np.asarray(fake, bool)
    if not fake.any() or fake.all():
        return None
    p = probability(llrs)
    weights = np.where(fake, 1 / fake.sum(), 1 / (~fake).sum())
    place = bins_of(p, weights, bins)
    size = int(place.max()) + 1
    b, f = (_binned(place[k], weights[k], size) for k in (~fake, fake))
    total = b + f
    return Reliability(_binned(place, weights * p, size) / total, f / total, b, f)


def bins_of(p: Floats, weights: Floats, bins: int) -> NDArray[np.intp]:
    """Number the bins of about equal mass, from 0 without gaps; equal values share one. Shape (N,)."""
    distinct, place = np.unique(p, return_inverse=True)
    mass = np.bincount(place, weights, distinct.size)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    numbers = np.minimum((middle * bins).astype(int), bins - 1)
    return np.unique(numbers, return_inverse=True)[1][place]


def ece(llrs: Floats, fake: Flags, bins: int = 10) -> float:
    """Expected calibration error of probabilities at a prior of one half; NaN without both classes.

    Mean over bins of equal mass of |mean probability - share of fakes|. It is never negative and above 0 even for
    perfect probabilities in a finite sample.

    References
    ----------
    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning",
    AAAI 2015 (there with bins of equal width).
    """
    found = reliability(llrs, fake, bins)
    return math.nan if found is None else found.ece


def _binned(place: NDArray[np.intp], weights: Floats, size: int) -> Floats:
    return np.bincount(place, weights, size).astype(np.float64)


def _reached(weights: Floats) -> Floats:
    """Weight at or over each threshold, the highest threshold first, before it 0."""
    falling = np.cumsum(weights[..., ::-1], axis=-1)
    return np.concatenate([np.zeros((*weights.shape[:-1], 1)), falling], axis=-1)


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Floats = np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)
    return share


def _mean(values: Floats, chosen: Flags, weights: Floats | None) -> float:
    picked = np.asarray(chosen, bool)
    heavy = np.ones(values.size) if weights is None else weights
    total = float(heavy[picked].sum())
    return float((values * heavy)[picked].sum()) / total if total else math.nan


def _pooled(b: Floats, f: Floats) -> tuple[Floats, Floats]:
    """Pool neighbours until the share of fakes does not fall."""
    stack: list[tuple[float, float]] = []
    for pair in zip(b.tolist(), f.tolist(), strict=True):
        low = pair
        while stack and stack[-1][1] * low[0] >= low[1] * stack[-1][0]:
            last = stack.pop()
            low = (last[0] + low[0], last[1] + low[1])
        stack.append(low)
    return np.array([s[0] for s in stack]), np.array([s[1] for s in stack])
