"""Maps from raw scores to log-likelihood ratios: several ways to fit them, from the least free to the freest."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from assay.bench.metrics import Flags, Floats

GRID = 24  # knots kept of a smooth map
STEPS = 256  # distinct scores that a step map tells apart; more are put together, neighbours first
Fit = Callable[[Floats, Flags, Floats], tuple[Floats, Floats]]


def isotonic(scores: Floats, fake: Flags, weights: Floats) -> tuple[Floats, Floats]:
    """Fit a rising step map from score to LLR by pooling adjacent violators.

    Parameters
    ----------
    scores : ndarray of float64, shape (N,)
        Raw scores, higher is more like a fake.
    fake : ndarray of bool, shape (N,)
        Labels.
    weights : ndarray of float64, shape (N,)
        Of each observation; the weights of a source add up to 1.

    Returns
    -------
    knots : tuple of ndarray, shape (K,) each
        Rising scores (the edges of each pooled step) and their LLRs in nats, not falling.

    Notes
    -----
    One made-up fake source at the bottom and one bona fide source at the top keep every LLR finite and about as
    large as the number of sources allows.

    References
    ----------
    N. Bruemmer, J. du Preez, "The PAV algorithm optimizes binary proper scoring rules", 2013.
    """
    values, inverse = np.unique(scores, return_inverse=True)
    cut = np.unique(np.linspace(0, len(values), min(STEPS, len(values)) + 1).astype(int))
    bins = np.searchsorted(cut, np.arange(len(values)), side="right") - 1
    positive = np.bincount(bins[inverse], weights * fake, len(cut) - 1)
    total = np.bincount(bins[inverse], weights, len(cut) - 1)
    positive[0] += 1.0  # the made-up fake
    total[0] += 1.0
    total[-1] += 1.0  # the made-up bona fide
    prior = positive.sum() / total.sum()
    edges = zip(values[cut[:-1]].tolist(), values[cut[1:] - 1].tolist(), strict=True)
    steps: list[list[float]] = []  # positive weight, total weight, first, last score
    for (first, last), p, t in zip(edges, positive.tolist(), total.tolist(), strict=True):
        steps.append([p, t, first, last])
        while len(steps) > 1 and steps[-2][0] * steps[-1][1] >= steps[-1][0] * steps[-2][1]:
            top = steps.pop()
            steps[-1] = [steps[-1][0] + top[0], steps[-1][1] + top[1], steps[-1][2], top[3]]
    shift = math.log(prior / (1 - prior))
    knots: list[tuple[float, float]] = []
    for p, t, first, last in steps:
        share = min(max(p / t if t > 0 else 0.0, 1e-9), 1 - 1e-9)
        llr = math.log(share / (1 - share)) - shift
        knots += [(first, llr)] if first == last else [(first, llr), (last, llr)]
    xs, ys = np.array(knots).T
    return xs, ys


def logistic(scores: Floats, fake: Flags, weights: Floats) -> tuple[Floats, Floats]:
    """Fit LLR = a + b * score, b >= 0, by weighted logistic regression with a weak ridge; same form as `isotonic`."""
    middle, spread = float(np.average(scores, weights=weights)), float(scores.std()) or 1.0
    x = (scores - middle) / spread
    balance = np.where(
        fake, 0.5 / weights[fake].sum(), 0.5 / weights[~fake].sum()
    )  # prior of one half: b is an LLR
    w = weights * balance * weights.sum()
    a = b = 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(a + b * x, -30, 30)))
        gradient = np.array([np.sum(w * (p - fake)), np.sum(w * (p - fake) * x) + 0.1 * b])
        v = w * p * (1 - p)
        hessian = np.array([[v.sum() + 1e-9, (v * x).sum()], [(v * x).sum(), (v * x * x).sum() + 0.1]])
        step = np.linalg.solve(hessian, gradient)
        a, b = a - step[0], b - step[1]
        if np.abs(step).max() < 1e-9:
            break
    b = max(b, 0.0)
    xs = np.unique(np.linspace(scores.min(), scores.max(), GRID))
    return xs, (a + b * (xs - middle) / spread if b > 0 else np.zeros_like(xs))


def logarithmic(scores: Floats, fake: Flags, weights: Floats) -> tuple[Floats, Floats]:
    """Fit as `logistic` does, but to the logarithm of scores: for tails such as those of -log10 of false alarms."""
    xs, ys = logistic(np.sign(scores) * np.log1p(np.abs(scores)), fake, weights)
    return np.sign(xs) * np.expm1(np.abs(xs)), ys


METHODS: dict[str, Fit] = {"logistic": logistic, "logarithmic": logarithmic, "isotonic": isotonic}


def simplest(judged: Mapping[str, Floats]) -> str:
    """Choose the first method (the least free stands first) whose cost is within one standard error of the best.

    References
    ----------
    L. Breiman et al., "Classification and regression trees", 1984: the one-standard-error rule.
    """
    best = min(judged, key=lambda name: float(np.median(judged[name])))
    allowed = float(np.median(judged[best]) + judged[best].std())
    return next(name for name in judged if float(np.median(judged[name])) <= allowed)
